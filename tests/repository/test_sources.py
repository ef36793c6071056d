"""The unrendered sources, the hooks, the tools and the tests pass the linters and the type checker."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from devtools.commands import check_output
from devtools.matrix import ROOT, Answers, all_on
from tests.support.expectations import TEMPLATE

FOLDERS = ("benchmarks", "devtools", "hooks", "load", "tests")
# `make benchmark` and `make load` write most of these two documents.
PRINTED = {ROOT / "docs" / "performance.md", ROOT / "docs" / "load.md"}
DOCUMENTS = {*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")} - PRINTED
# A block tag between imports is a comment, at which the linter would split the imports. The order of imports and the
# format are checked in the rendered files.
UNRENDERED = ("ruff", "check", "--no-cache", "--ignore", "I001", ".")


@pytest.mark.fills_mypy_cache
def test_unrendered_service_passes_linter_and_type_checker(
    mypy_cache: Callable[[Answers], AbstractContextManager[str]],
) -> None:
    check_output(TEMPLATE, *UNRENDERED)
    # Bytecode or a cache in the template would be rendered as part of a service.
    with mypy_cache(all_on()) as cache:
        check_output(TEMPLATE, "mypy", ".", MYPY_CACHE_DIR=cache, PYTHONDONTWRITEBYTECODE="1")


def test_tools_hooks_and_tests_pass_linter_and_type_checker(tmp_path: Path) -> None:
    check_output(ROOT, "ruff", "check", "--no-cache", *FOLDERS)
    check_output(ROOT, "ruff", "format", "--check", "--no-cache", *FOLDERS)
    check_output(ROOT, "mypy", MYPY_CACHE_DIR=str(tmp_path))


def test_documents_and_settings_pass_their_linters() -> None:
    check_output(ROOT, "rumdl", "check", "--no-cache", *map(str, DOCUMENTS))
    check_output(ROOT, "tombi", "lint", "--offline", "pyproject.toml")


def test_template_has_only_files_that_git_knows() -> None:
    known = check_output(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", TEMPLATE.name)
    found = {path.relative_to(ROOT).as_posix() for path in TEMPLATE.rglob("*") if path.is_file()}

    assert found == set(known.split("\0")[:-1])
