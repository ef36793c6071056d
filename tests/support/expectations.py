"""The files and words that each answer must add to a service, and that must be absent without it."""

import re
from pathlib import Path

from devtools.matrix import ROOT, SERVERS, Answers
from devtools.rendering import load_hook

TEMPLATE = ROOT / "{{cookiecutter.project_slug}}"

# Patterns that a service without the toggle must not contain. The machinery below `runtime/` has the same bytes in
# every service, so its files may name options that are off.
TRACES = {
    "use_channels": r"channel|websocket|redis|valkey|consumer|\bws\b|announce",
    "use_postgres": r"postgres|psycopg|pgserver|pgbouncer|embedded|server.side.cursor",
    "use_async_views": r"supplier|aiohttp|ndjson|api/products|catalog(\.views|/views/|.forms|.api)|x-csrftoken",
    "use_orm_wrappers": r"\bservices\b(?!:)|reserv(e|ation)|create_product|count_users|count-users|users/count",
    "use_async_middleware": r"request.?id|server.timing|sent-by",
}
# Patterns that a service with the toggle must contain.
SIGNS = {
    "use_channels": r"ProtocolTypeRouter",
    "use_postgres": r"psycopg",
    "use_async_views": r"api/products/",
    "use_orm_wrappers": r"def reserve_stock",
    "use_async_middleware": r"RequestIDMiddleware",
}

# The only files that may be empty.
EMPTY = "__init__.py"

# The files and settings that depend on the server.
SERVER_FILES = re.compile(r"\.env|\.env\.example|README\.md|pyproject\.toml|runtime/(tests/)?server/.*")
SERVER_SETTINGS = re.compile(r"^(ASGI_SERVER|WEB_CONCURRENCY) = .*\n", re.MULTILINE)


def template_files() -> set[str]:
    """Return the relative paths of all files of the template."""
    return {
        path.relative_to(TEMPLATE).as_posix()
        for path in TEMPLATE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def expected_files(answers: Answers) -> set[str]:
    """Return the relative paths of the files that a service must have. Raises AssertionError for a wrong manifest."""
    files = template_files() | {".env"}
    hook = load_hook("post_gen_project")
    is_chosen = hook["is_chosen"]
    for toggle, paths in hook["MANIFEST"].items():
        if not is_chosen(toggle, answers):
            for path in paths:
                dropped = {file for file in files if file == path or file.startswith(f"{path}/")}
                assert dropped, f"MANIFEST of hooks/post_gen_project.py: {path!r} does not exist"
                files -= dropped
    return files


def check_files(files: dict[str, str], answers: Answers) -> None:
    """Check that a service has exactly the files that its answers require."""
    assert set(files) == expected_files(answers)


def check_traces(files: dict[str, str], answers: Answers) -> None:
    """Check that the files show every chosen option and no trace of the others, or of the template itself."""
    # The README of the machinery describes every option.
    everything = "\n".join(text for path, text in files.items() if path != "runtime/README.md")
    unwanted = {toggle: pattern for toggle, pattern in TRACES.items() if not answers[toggle]}
    unwanted["asgi_server"] = "|".join(server for server in SERVERS if server != answers["asgi_server"])
    unwanted["template"] = r"cookiecutter|# \{%"
    for name, pattern in unwanted.items():
        for path, text in files.items():
            if name != "template" and path.startswith("runtime/"):
                continue
            for number, line in enumerate(text.splitlines(), start=1):
                found = re.search(pattern, line, re.IGNORECASE)
                assert not found, f"{path}:{number} has a trace of {name}: {line.strip()!r}"
    for toggle, sign in SIGNS.items():
        assert bool(re.search(sign, everything)) == answers[toggle], f"{toggle} and {sign!r}"
    assert answers["asgi_server"] in files["pyproject.toml"]


def check_machinery(service: Path) -> None:
    """Check that the files of the machinery have the same bytes as in the template, whatever the answers."""
    for path in sorted((service / "runtime").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            name = path.relative_to(service)
            assert path.read_bytes() == (TEMPLATE / name).read_bytes(), f"{name} depends on the answers"


def check_server_independence(files: dict[str, str], others: dict[str, str]) -> None:
    """Check that two services that differ only in the server have the same code, except for SERVER_FILES.

    Their types and their own tests, which start no server, are therefore checked only once.
    """
    for path in files.keys() | others.keys():
        if not SERVER_FILES.fullmatch(path):
            texts = {SERVER_SETTINGS.sub("", each.get(path, "")) for each in (files, others)}
            assert len(texts) == 1, f"{path} depends on the server"


def machinery(combinations: list[Answers]) -> set[str]:
    """Return all files of the machinery that the services of some combinations have."""
    return {file for answers in combinations for file in expected_files(answers) if file.startswith("runtime/")}


def check_whitespace(service: Path) -> None:
    """Check line endings, final newlines and trailing spaces of a service, and that no file or folder is empty."""
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
