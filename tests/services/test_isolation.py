"""Services in an environment of their own, as on a developer's machine and in CI: only the packages of uv.lock."""

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

# Without the shared environment, which has the packages of all services.
ALONE = {"PATH": os.environ["PATH"]}


@pytest.fixture
def committed(accessible_directory: Path, answers: Answers) -> Path:
    """Return a service with locked dependencies, committed to git."""
    service = render(answers, accessible_directory)
    check_output(service, UV, "lock", "--quiet", **ALONE)
    commit(service)
    return service


pairwise_combinations = pytest.mark.parametrize(
    "answers", [pytest.param(answers, id=identify(answers)) for answers in PAIRWISE]
)


@pairwise_combinations
def test_isolated_service_passes_its_ci_and_can_start_in_production(
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
    # mypy's cache of the packages is valid for the same packages elsewhere. mypy still checks that they are installed.
    with mypy_cache(answers) as cache:
        shutil.copytree(cache, accessible_directory / "mypy")
    printed = run_workflow(
        committed, accessible_directory / "workspace", services, MYPY_CACHE_DIR=str(accessible_directory / "mypy")
    )

    assert list(printed)[:2] == ["actions/checkout", "astral-sh/setup-uv"]
    assert "Success: no issues found" in printed["Check and test"]
    assert re.search(r" \d+ passed in", printed["Check and test"])

    # The packages of production are enough to start.
    settings = production_environment(answers, "postgresql://user@db.invalid/name", "redis://valkey.invalid")
    in_production = (UV, "run", "--no-sync", "python")
    check_output(committed, UV, "sync", "--locked", "--no-dev", "--quiet", **ALONE)
    check_output(committed, *in_production, "-c", "import config.asgi, runtime.server", **ALONE, **settings)
    check = ("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    check_output(committed, *in_production, *check, **ALONE, **settings)
