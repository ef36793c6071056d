"""A fork that has other defaults passes the tests of rendering and of the repository."""

from pathlib import Path

import pytest

from devtools.commands import GIT_IDENTITY, check_output, commit
from devtools.matrix import ROOT
from devtools.rendering import break_source, copy_repository
from tests.support.repositories import run_tests

# The defaults that a team changes first.
DEFAULTS = {
    '"project_name": "Async Django Service"': '"project_name": "Acme Orders"',
    '"author_name": "Ada Lovelace"': '"author_name": "Acme Ltd"',
    '"author_email": "ada@example.com"': '"author_email": "dev@acme.example"',
    '"use_channels": true': '"use_channels": false',
    '"use_postgres": false': '"use_postgres": true',
    '    "uvicorn",\n    "granian",\n    "daphne"\n': '    "granian",\n    "daphne",\n    "uvicorn"\n',
}
# Quick tests in which an answer is missing, so that a default counts.
FILES = ("tests/render/test_answers.py", "tests/repository/test_documents.py")
SELECTION = "configuration or default or message or prompt or question"


@pytest.fixture
def fork(tmp_path: Path) -> Path:
    """Return a copy of this repository with other defaults."""
    repository = copy_repository(tmp_path / "fork")
    for old, new in DEFAULTS.items():
        break_source(repository, "cookiecutter.json", old, new)
    commit(repository)
    return repository


@pytest.mark.slow(20)
def test_fork_with_other_defaults_passes_tests_of_answers(fork: Path) -> None:
    assert " passed" in run_tests(fork, *FILES, "-k", SELECTION)


@pytest.mark.thorough
def test_fork_with_other_defaults_passes_tests_of_rendering_and_repository(fork: Path) -> None:
    others = f"--ignore={Path(__file__).relative_to(ROOT)}"

    assert " passed" in run_tests(fork, "tests/render", "tests/repository", others)


def test_example_of_a_toggle_applies_to_a_fork(fork: Path) -> None:
    check_output(fork, "git", "apply", "--check", "docs/a_toggle.patch", **GIT_IDENTITY)


def test_test_that_depends_on_a_default_fails_in_a_fork(fork: Path) -> None:
    test = "def test_default() -> None:\n    assert QUESTIONS['use_channels'] is True\n"
    (fork / "tests" / "render" / "test_default.py").write_text(
        f"from devtools.matrix import QUESTIONS\n\n\n{test}", encoding="utf-8"
    )

    with pytest.raises(AssertionError, match="1 failed"):
        run_tests(fork, "tests/render/test_default.py")
