"""A service's own code imports public names of `runtime` only, and `runtime` imports nothing of the service."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.matrix import SERVERS, all_on
from devtools.rendering import break_source, render
from tests.support.expectations import TEMPLATE

OWN = ("accounts", "catalog", "config", "tests")
README = (TEMPLATE / "runtime" / "README.md").read_text(encoding="utf-8")
# The names in the table "Public names": an attribute, a package, or with an asterisk all attributes of a module.
PUBLIC = {name for row in re.findall(r"(?m)^\| (`runtime\.[^|]*) \|", README) for name in re.findall(r"`([^`]+)`", row)}


def used_names(service: Path) -> Iterator[tuple[str, str]]:
    """Yield each file of the service's own with each name of `runtime` that it imports or has in a string."""
    for folder in OWN:
        for path in sorted((service / folder).rglob("*.py")):
            file = path.relative_to(service).as_posix()
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "runtime":
                    yield from ((file, f"{node.module}.{alias.name}") for alias in node.names)
                elif isinstance(node, ast.Import):
                    yield from ((file, each.name) for each in node.names if each.name.partition(".")[0] == "runtime")
                elif isinstance(node, ast.Constant) and re.fullmatch(r"runtime(\.\w+)+", str(node.value)):
                    yield file, str(node.value)


def is_public(name: str) -> bool:
    """Return whether runtime/README.md lists a name, or its module with an asterisk. IDs of checks are public."""
    if re.fullmatch(r"runtime\.[EW]\d{3}", name):
        return True
    return name in PUBLIC or f"{name.rpartition('.')[0]}.*" in PUBLIC


def check_public(service: Path) -> None:
    """Raise AssertionError if the service's own code uses a private name. Names of loggers are allowed."""
    loggers = {"runtime.websockets.channel_layer"}
    private = {(file, name) for file, name in used_names(service) if not is_public(name) and name not in loggers}
    assert not private, f"not in runtime/README.md: {sorted(private)}"


@pytest.mark.parametrize("server", SERVERS)
def test_own_code_uses_only_public_names(server: str, tmp_path: Path) -> None:
    service = render(all_on(server), tmp_path)

    check_public(service)
    assert len({name for _, name in used_names(service)}) > 20


def test_private_name_is_reported(tmp_path: Path) -> None:
    service = render(all_on(), tmp_path)
    break_source(
        service, "catalog/pages.py", "from django.conf", "from runtime.threads.pool import WorkerPool\nfrom django.conf"
    )

    with pytest.raises(AssertionError, match=r"catalog/pages\.py', 'runtime\.threads\.pool\.WorkerPool"):
        check_public(service)


def test_public_names_exist() -> None:
    for name in PUBLIC:
        module, _, attribute = name.rpartition(".")
        is_module = attribute == "*" or not module
        paths = [TEMPLATE / each.replace(".", "/") for each in ([module] if is_module else [name, module])]
        if paths[0].is_dir() or paths[0].with_suffix(".py").is_file():
            continue
        source = paths[-1].with_suffix(".py").read_text(encoding="utf-8")
        assert re.search(rf"(?m)^(async def|def|class) {attribute}\b", source), name


def test_runtime_imports_nothing_of_the_service() -> None:
    for path in sorted((TEMPLATE / "runtime").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.partition(".")[0] in OWN], path.relative_to(TEMPLATE)
