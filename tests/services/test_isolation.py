"""Each service alone, as its owner and its CI have it: nothing but what its own uv.lock names can be found."""

import os
import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from devtools.commands import UV, check_output, commit
from devtools.matrix import PAIRWISE, Answers, identify
from devtools.production import production_environment
from devtools.rendering import render
from tests.support.workflows import run_workflow

pytestmark = pytest.mark.slow(100)

# Without the shared environment, which has everything.
ALONE = {"PATH": os.environ["PATH"]}


@pytest.fixture
def committed(accessible_directory: Path, answers: Answers) -> Path:
    """Return a service whose owner has locked its dependencies and committed it."""
    service = render(answers, accessible_directory)
    check_output(service, UV, "lock", "--quiet", **ALONE)
    commit(service)
    return service


each_pair = pytest.mark.parametrize("answers", [pytest.param(answers, id=identify(answers)) for answers in PAIRWISE])


@each_pair
def test_its_ci_passes_and_production_starts(
    committed: Path,
    accessible_directory: Path,
    answers: Answers,
    mypy_cache: Callable[[Answers], AbstractContextManager[str]],
    request: pytest.FixtureRequest,
) -> None:
    services = {
        name: request.getfixturevalue(url)
        for name, url, toggle in (("postgres", "database_url", "use_postgres"), ("valkey", "redis_url", "use_channels"))
        if answers[toggle]
    }
    # What mypy knows of packages holds for the same packages elsewhere; whether they are there it looks up each time.
    with mypy_cache(answers) as cache:
        shutil.copytree(cache, accessible_directory / "types")
    printed = run_workflow(
        committed, accessible_directory / "workspace", services, MYPY_CACHE_DIR=str(accessible_directory / "types")
    )

    assert list(printed)[:2] == ["actions/checkout", "astral-sh/setup-uv"]
    assert "Success: no issues found" in printed["Check and test"]
    assert re.search(r" \d+ passed in", printed["Check and test"])

    # What production installs suffices to start.
    settings = production_environment(answers, "postgresql://nobody@db.invalid/nothing", "redis://valkey.invalid")
    in_production = (UV, "run", "--no-sync", "python")
    check_output(committed, UV, "sync", "--locked", "--no-dev", "--quiet", **ALONE)
    check_output(committed, *in_production, "-c", "import config.asgi, runtime.server", **ALONE, **settings)
    check = ("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    check_output(committed, *in_production, *check, **ALONE, **settings)
