"""Each function of a dependency that the runtime overrides or copies is still the one that was reviewed.

`drift/reviewed.json` has a hash of the source of each. After a review, `python -m tests.runtime.test_drift` rewrites
the file. A service checks the private attributes that the runtime uses when it starts, see `runtime.compat`.
"""

import ast
import json
import shutil
import tempfile
from collections.abc import Iterator
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from devtools.commands import check_output
from devtools.matrix import all_on
from devtools.rendering import render
from tests.support.expectations import TEMPLATE

DRIFT = Path(__file__).with_name("drift")
REVIEWED = DRIFT / "reviewed.json"
COMMAND = "python -m tests.runtime.test_drift"
# Names with an underscore that are documented, or defined by the runtime or the standard library.
NOT_PRIVATE = {"_current_frames", "_default_manager", "_exit", "_getframe", "_logged_out", "_login_refusal", "_meta"}


def make_service(directory: Path) -> Path:
    """Render a service, and add the runtime files of all other answers to it."""
    service = render(all_on(), directory)
    shutil.copytree(
        TEMPLATE / "runtime", service / "runtime", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
    )
    return service


def collect(service: Path, *folders: Path) -> Any:
    """Return the output of `drift/collect.py`. Packages in `folders` replace the installed ones."""
    path = ":".join(map(str, (*folders, service)))
    environment = {"PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": "config.settings"}
    return json.loads(check_output(service, "python", str(DRIFT / "collect.py"), **environment))


def differences(reviewed: Any, found: Any) -> list[str]:
    """Return a message with a remedy for each change since the last review."""
    messages = []
    before, now = reviewed["hashes"], found["hashes"]
    for path in sorted(before.keys() | now.keys()):
        package = path.partition(".")[0]
        old, new = (f"{package} {each['versions'].get(package, '(no version)')}" for each in (reviewed, found))
        files = " and ".join(found["files"].get(path, ()))
        if path not in now:
            messages.append(f"{path} is in the table, but the runtime does not rely on it. Run `{COMMAND}`.")
        elif now[path] is None:
            messages.append(
                f"{path} is not in {new}, and {files} relies on it. Find out how {new} differs from {old}, "
                f"adapt {files} and RELIED_ON in tests/runtime/drift/collect.py, then run `{COMMAND}`."
            )
        elif path not in before:
            messages.append(
                f"{path} is not in the table, and {files} relies on it. Read its source in {new}, then run `{COMMAND}`."
            )
        elif now[path] != before[path]:
            messages.append(
                f"{path} has changed in {new}, and {files} relies on it. Compare its source with that of {old}, the "
                f"version of the last review. Adapt {files}, then run `{COMMAND}`."
            )
    return messages


def private_names(source: str) -> Iterator[str]:
    """Yield the names with one leading underscore of accessed attributes and of defined methods."""
    for node in ast.walk(ast.parse(source)):
        names: list[Any] = []
        if isinstance(node, ast.Attribute):
            names = [node.attr]
        elif isinstance(node, ast.ClassDef):
            names = [each.name for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr"):
            names = [each.value for each in node.args if isinstance(each, ast.Constant)]
        for name in names:
            if isinstance(name, str) and name.startswith("_") and not name.startswith("__"):
                yield name


def required_names(source: str) -> set[str]:
    """Return the names that a module requires of its dependencies, see `runtime.compat`."""
    return {
        each.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "require"
        for each in node.args
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    }


@pytest.fixture
def reviewed() -> Any:
    return json.loads(REVIEWED.read_text(encoding="utf-8"))


def test_dependencies_are_unchanged_since_their_review(reviewed: Any, tmp_path: Path) -> None:
    messages = differences(reviewed, collect(make_service(tmp_path)))

    assert not messages, "\n".join(messages)


def test_changed_dependency_and_new_override_are_reported(reviewed: Any, tmp_path: Path) -> None:
    service = make_service(tmp_path)
    folder = tmp_path / "changed"
    installed = find_spec("httpx_aiohttp")
    assert installed is not None
    assert installed.origin is not None
    shutil.copytree(Path(installed.origin).parent, folder / "httpx_aiohttp")
    transport = folder / "httpx_aiohttp" / "transport.py"
    source = transport.read_text(encoding="utf-8")
    transport.write_text(source.replace("async def handle_async_request(", "async def handle_async_request(  # new\n"))
    with (service / "runtime/requests/handler.py").open("a", encoding="utf-8") as file:
        file.write("\n\nclass Another(Handler):\n    def check_response(self, *args, **kwargs):\n        pass\n")

    overridden, changed = differences(reviewed, collect(service, folder))

    assert overridden.startswith(
        "django.core.handlers.base.BaseHandler.check_response is not in the table, and runtime/requests/handler.py "
    )
    assert changed.startswith("httpx_aiohttp.AiohttpTransport.handle_async_request has changed in httpx_aiohttp ")
    assert "runtime/requests/http_client.py relies on it" in changed


def test_difference_is_reported_with_versions_and_remedy(reviewed: Any) -> None:
    file, path = "runtime/requests/handler.py", "django.core.handlers.asgi.ASGIHandler.handle"
    reviewed["versions"]["django"] = "6.1"
    found = deepcopy(reviewed) | {"files": {path: [file]}}
    found["versions"]["django"] = "6.2"
    assert not differences(reviewed, found)

    found["hashes"][path] = "0" * 16
    assert differences(reviewed, found) == [
        f"{path} has changed in django 6.2, and {file} relies on it. Compare its source with that of django 6.1, the "
        f"version of the last review. Adapt {file}, then run `{COMMAND}`."
    ]

    found["hashes"][path] = None
    assert differences(reviewed, found) == [
        f"{path} is not in django 6.2, and {file} relies on it. Find out how django 6.2 differs from "
        f"django 6.1, adapt {file} and RELIED_ON in tests/runtime/drift/collect.py, then run `{COMMAND}`."
    ]

    del found["hashes"][path]
    assert differences(reviewed, found) == [
        f"{path} is in the table, but the runtime does not rely on it. Run `{COMMAND}`."
    ]


def test_every_private_attribute_of_a_dependency_is_required() -> None:
    sources = {
        path.relative_to(TEMPLATE).as_posix(): path.read_text(encoding="utf-8")
        for path in (TEMPLATE / "runtime").rglob("*.py")
        if not path.is_relative_to(TEMPLATE / "runtime" / "tests")
    }
    unchecked = {
        path: names
        for path, source in sources.items()
        if (names := set(private_names(source)) - required_names(source) - NOT_PRIVATE)
    }

    assert not unchecked, f"Require these names where they are used, see runtime/compat.py: {unchecked}"


def test_private_attribute_that_is_not_required_is_reported() -> None:
    source = (
        "require(Owner, '_known')\nclass Own(Owner):\n    def _hook(self):\n        self._known\n        self._other\n"
        "        getattr(self, '_named')\n        self.__class__\n        self.public\n"
    )

    assert set(private_names(source)) - required_names(source) == {"_hook", "_other", "_named"}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        table = collect(make_service(Path(directory)))
    del table["files"]
    REVIEWED.write_text(json.dumps(table, indent=2, sort_keys=True) + "\n", encoding="utf-8")
