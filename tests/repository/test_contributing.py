"""The example of a new toggle, docs/a_toggle.patch, applies and passes the template's tests."""

from pathlib import Path

import pytest

from devtools.commands import GIT_IDENTITY, check_output
from devtools.rendering import copy_repository
from tests.support.repositories import run_tests

# A combination with the new toggle, traces of it in a service without it, and the tests that read every question.
FILES = ("tests/services", "tests/repository/test_documents.py", "tests/render/test_answers.py")
SELECTION = "[daphne+robots] or has_the_files and [uvicorn] or manifest or readme or rule"


@pytest.mark.slow(60)
def test_example_of_a_toggle_passes_the_tests_that_it_changes(tmp_path: Path) -> None:
    repository = copy_repository(tmp_path / "copy")
    check_output(repository, "git", "apply", "docs/a_toggle.patch", **GIT_IDENTITY)
    run_tests(repository, *FILES, "-k", SELECTION)

    # Negative control: the tests fail if the example is incomplete.
    (repository / "docs" / "options.md").write_text("It is gone.\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="1 failed"):
        run_tests(repository, *FILES, "-k", "manifest")
