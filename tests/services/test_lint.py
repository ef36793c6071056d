"""A rendered service passes its own linters and its type checker."""

import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from devtools.commands import check_output
from devtools.matrix import Answers
from devtools.production import make_commands
from tests.support.combinations import every_combination, every_toggle

# The command of `make check` that checks types.
TYPE_CHECK = "mypy ."


@every_combination
def test_rendered_service_passes_its_linters(workspace: Path) -> None:
    for command in make_commands(workspace, "check"):
        # Django's checks run with the settings of production when a test serves the service.
        if "manage.py" not in command and command != TYPE_CHECK:
            check_output(workspace, *shlex.split(command), RUFF_NO_CACHE="true")
    check_output(workspace, "actionlint", ".github/workflows/ci.yml")


@every_toggle
def test_rendered_service_passes_its_type_checker(
    workspace: Path, answers: Answers, mypy_cache: Callable[[Answers], AbstractContextManager[str]]
) -> None:
    assert TYPE_CHECK in make_commands(workspace, "check")

    with mypy_cache(answers) as cache:
        check_output(workspace, *shlex.split(TYPE_CHECK), MYPY_CACHE_DIR=cache)
