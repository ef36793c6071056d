"""What every file of a service must look like, whatever is in it."""

from pathlib import Path

# The only files that may be empty: they make a folder a package.
EMPTY = "__init__.py"


def check_form(service: Path) -> None:
    """Check the line endings, final newlines and spaces of a service as rendered, and that nothing in it is empty."""
    for path in sorted(service.rglob("*")):
        name = path.relative_to(service).as_posix()
        if path.is_dir():
            assert any(path.iterdir()), f"{name} is an empty folder"
            continue
        content = path.read_bytes()
        if path.name == EMPTY and not content:
            continue
        assert content.strip(), f"{name} is empty"
        assert b"\r" not in content, f"{name} has a carriage return"
        assert content.endswith(b"\n"), f"{name} has no newline at its end"
        assert not content.endswith(b"\n\n"), f"{name} has a blank line at its end"
        assert not content.startswith(b"\n"), f"{name} has a blank line at its beginning"
        for number, line in enumerate(content.split(b"\n"), start=1):
            assert line == line.rstrip(), f"{name}:{number} has a space at its end"
