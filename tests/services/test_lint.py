"""A service passes its own linters and its type checker as rendered."""

import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from devtools.commands import succeed
from devtools.matrix import Answers
from devtools.production import made_by
from tests.support.combinations import every_combination, every_toggle

# The command of `make check` that checks types.
TYPES = "mypy ."


@every_combination
def test_is_clean_as_rendered(workspace: Path) -> None:
    for command in made_by(workspace, "check"):
        # Django's own checks run before it is served, in one process and with the settings of production.
        if "manage.py" not in command and command != TYPES:
            succeed(workspace, *shlex.split(command), RUFF_NO_CACHE="true")
    succeed(workspace, "actionlint", ".github/workflows/ci.yml")


@every_toggle
def test_has_the_right_types(
    workspace: Path, answers: Answers, types: Callable[[Answers], AbstractContextManager[str]]
) -> None:
    assert TYPES in made_by(workspace, "check")

    with types(answers) as cache:
        succeed(workspace, *shlex.split(TYPES), MYPY_CACHE_DIR=cache)
