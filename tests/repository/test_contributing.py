"""The example of a new toggle, in docs/a_toggle.patch, makes a template that passes its own tests."""

import sys
from pathlib import Path

import pytest

from devtools.commands import OWNER, succeed
from devtools.rendering import copy_repository

# A combination with the example's toggle, and what a service without it must not show; what is said of all of them.
FILES = ("tests/services", "tests/repository/test_documents.py", "tests/render/test_answers.py")
SELECTION = "[uvicorn+robots] or has_what and [uvicorn] or manifest or readme or rule"


def check(repository: Path, selection: str) -> None:
    """Run some of a template's own tests."""
    arguments = ("-q", "-n0", "-p", "no:cacheprovider", f"--basetemp={repository}-tmp", "-k", selection)
    succeed(repository, sys.executable, "-m", "pytest", *arguments, *FILES)


@pytest.mark.slow(60)
def test_the_example_of_a_toggle_passes_the_tests_that_it_changes(tmp_path: Path) -> None:
    repository = copy_repository(tmp_path / "copy")
    succeed(repository, "git", "apply", "docs/a_toggle.patch", **OWNER)
    check(repository, SELECTION)

    # It would not if it were wrong.
    (repository / "docs" / "options.md").write_text("It is gone.\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="1 failed"):
        check(repository, "manifest")
