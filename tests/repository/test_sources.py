"""The template's own sources are as clean unrendered as what they render to, and so are the hooks and these tests."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from devtools.commands import succeed
from devtools.matrix import ROOT, Answers, all_on
from tests.support.expectations import TEMPLATE

OURS = ("benchmarks", "hooks", "load", "tests")
# Those that somebody has written; most of these two is printed by what measures.
PRINTED = {ROOT / "docs" / "performance.md", ROOT / "docs" / "load.md"}
DOCUMENTS = {*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")} - PRINTED
# A tag between imports is a comment that sorting would set apart: what sorting and formatting say is asked of the
# rendered files alone.
UNRENDERED = ("ruff", "check", "--no-cache", "--ignore", "I001", ".")


@pytest.mark.fills_mypy_cache
def test_the_unrendered_service_passes_the_linter_and_the_type_checker(
    types: Callable[[Answers], AbstractContextManager[str]],
) -> None:
    succeed(TEMPLATE, *UNRENDERED)
    # It has everything. Bytecode or a cache in the template would be rendered with it.
    with types(all_on()) as cache:
        succeed(TEMPLATE, "mypy", ".", MYPY_CACHE_DIR=cache, PYTHONDONTWRITEBYTECODE="1")


def test_hooks_and_tests_pass_the_linter_and_the_type_checker(tmp_path: Path) -> None:
    succeed(ROOT, "ruff", "check", "--no-cache", *OURS)
    succeed(ROOT, "ruff", "format", "--check", "--no-cache", *OURS)
    succeed(ROOT, "mypy", MYPY_CACHE_DIR=str(tmp_path))


def test_documents_and_settings_pass_their_linters() -> None:
    succeed(ROOT, "rumdl", "check", "--no-cache", *map(str, DOCUMENTS))
    succeed(ROOT, "tombi", "lint", "--offline", "pyproject.toml")


def test_the_template_has_the_files_that_git_knows_and_no_other() -> None:
    known = succeed(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", TEMPLATE.name)
    there = {path.relative_to(ROOT).as_posix() for path in TEMPLATE.rglob("*") if path.is_file()}

    assert there == set(known.split("\0")[:-1])
