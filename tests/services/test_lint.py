"""A service passes its own linters and its type checker as rendered."""

import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from devtools.commands import check_output
from devtools.matrix import Answers
from devtools.production import make_commands
from tests.support.combinations import every_combination, every_toggle

# The command of `make check` that checks types.
TYPES = "mypy ."


@every_combination
def test_is_clean_as_rendered(workspace: Path) -> None:
    for command in make_commands(workspace, "check"):
        # Django's own checks run before it is served, in one process and with the settings of production.
        if "manage.py" not in command and command != TYPES:
            check_output(workspace, *shlex.split(command), RUFF_NO_CACHE="true")
    check_output(workspace, "actionlint", ".github/workflows/ci.yml")


@every_toggle
def test_has_the_right_types(
    workspace: Path, answers: Answers, mypy_cache: Callable[[Answers], AbstractContextManager[str]]
) -> None:
    assert TYPES in make_commands(workspace, "check")

    with mypy_cache(answers) as cache:
        check_output(workspace, *shlex.split(TYPES), MYPY_CACHE_DIR=cache)
