"""Each service's own list of dependencies is complete: nothing but what it names is installed."""

import re
from pathlib import Path

import pytest
from matrix import PAIRWISE, Answers, identify
from rendering import render, succeed
from serving import production

# Run with the service's own environment only: the shared one is not on this PATH.
UV = ("uv", "run", "--no-sync")


@pytest.mark.parametrize("answers", [pytest.param(answers, id=identify(answers)) for answers in PAIRWISE])
def test_dependencies_are_complete(outside: Path, answers: Answers) -> None:
    service = render(answers, outside)
    environment = production(answers, "postgresql://nobody@db.invalid/nothing", "redis://valkey.invalid")

    # What production installs suffices to start.
    succeed(service, "uv", "sync", "--no-dev", "--quiet")
    succeed(service, *UV, "python", "-c", "import config.asgi", **environment)
    succeed(service, *UV, "python", "manage.py", "check", "--deploy", "--fail-level", "WARNING", **environment)
    # What development installs suffices to test, and to check the types.
    succeed(service, "uv", "sync", "--quiet")
    assert re.search(r"^\d+ passed in", succeed(service, *UV, "pytest", "-q"), re.MULTILINE)
    assert "Success" in succeed(service, *UV, "mypy", ".")
