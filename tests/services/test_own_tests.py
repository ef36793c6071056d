"""A rendered service passes its own tests."""

import re
from pathlib import Path

import pytest

from devtools.commands import check_output
from devtools.matrix import Answers
from tests.support.combinations import every_toggle
from tests.support.effort import effort


@every_toggle
def test_rendered_service_passes_its_own_tests(
    workspace: Path, answers: Answers, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    environment = {"DATABASE_URL": request.getfixturevalue("database_url")} if answers["use_postgres"] else {}

    # Parallel runs would remove each other's files from pytest's default folder.
    arguments = ["-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", f"--basetemp={tmp_path / 'tmp'}"]
    if effort() == 1:
        # The machinery has the same bytes in all services. test_isolation.py tests it in a few combinations.
        arguments.append("tests")

    output = check_output(workspace, "pytest", *arguments, **environment)
    assert re.search(r"^\d+ passed in", output, re.MULTILINE), f"something was skipped, or nothing ran:\n{output}"
