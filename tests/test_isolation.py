"""Each service's own list of dependencies is complete: nothing but what it names can be found."""

import os
import re
import sys
from pathlib import Path

import pytest
from matrix import PAIRWISE, Answers, identify
from rendering import render, succeed
from serving import production

UV = str(Path(sys.executable).with_name("uv"))
# Without the shared environment, which has everything.
ALONE = {"PATH": os.environ["PATH"]}


@pytest.mark.parametrize("answers", [pytest.param(answers, id=identify(answers)) for answers in PAIRWISE])
def test_dependencies_are_complete(outside: Path, answers: Answers) -> None:
    service = render(answers, outside)
    settings = production(answers, "postgresql://nobody@db.invalid/nothing", "redis://valkey.invalid")

    # What production installs suffices to start.
    succeed(service, UV, "sync", "--no-dev", "--quiet", **ALONE)
    in_production = (UV, "run", "--no-sync")
    succeed(service, *in_production, "python", "-c", "import config.asgi", **ALONE, **settings)
    check = ("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    succeed(service, *in_production, "python", *check, **ALONE, **settings)
    # What development installs suffices to test and to check, as its Makefile does.
    assert re.search(r" \d+ passed in", succeed(service, "make", "test", f"RUN={UV} run", **ALONE))
    assert "Success: no issues found" in succeed(service, "make", "check", f"RUN={UV} run", **ALONE)
