"""Every combination of answers: rendered, read, linted, tested, served and spoken to."""

import re
import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from contract import speak
from effects import check_files, check_machinery, check_server, check_traces, machinery
from effort import EFFORT
from form import check_form
from matrix import COMBINATIONS, PAIRWISE, SERVERS, TOGGLED, Answers, identify
from rendering import succeed, text_files
from serving import made_by, served

# The command of `make check` that checks types.
TYPES = "mypy ."

every_combination = pytest.mark.parametrize("answers", COMBINATIONS, ids=identify)
# For checks whose outcome the server cannot change (`test_the_server_changes_no_other_code`).
every_toggle = pytest.mark.parametrize("answers", TOGGLED if EFFORT == 1 else COMBINATIONS, ids=identify)


@every_combination
def test_has_what_was_chosen_and_no_trace_of_the_rest(rendered: Callable[[Answers], Path], answers: Answers) -> None:
    service = rendered(answers)
    files = text_files(service)

    check_files(files, answers)
    check_traces(files, answers)
    check_machinery(service)
    check_form(service)


@pytest.mark.parametrize("answers", TOGGLED, ids=identify)
def test_the_server_changes_no_other_code(rendered: Callable[[Answers], Path], answers: Answers) -> None:
    files = text_files(rendered(answers))

    for server in SERVERS:
        check_server(files, text_files(rendered(answers | {"asgi_server": server})))


@every_combination
def test_is_clean_as_rendered(rendered: Callable[[Answers], Path], answers: Answers) -> None:
    service = rendered(answers)

    for command in made_by(service, "check"):
        # Django's own checks run before it is served, in one process and with the settings of production.
        if "manage.py" not in command and command != TYPES:
            succeed(service, *shlex.split(command), RUFF_NO_CACHE="true")
    succeed(service, "actionlint", ".github/workflows/ci.yml")


@every_toggle
def test_has_the_right_types(
    rendered: Callable[[Answers], Path], answers: Answers, types: Callable[[Answers], AbstractContextManager[str]]
) -> None:
    service = rendered(answers)
    assert TYPES in made_by(service, "check")

    with types(answers) as cache:
        succeed(service, *shlex.split(TYPES), MYPY_CACHE_DIR=cache)


@every_toggle
def test_passes_its_own_tests(
    rendered: Callable[[Answers], Path], answers: Answers, request: pytest.FixtureRequest
) -> None:
    environment = {"DATABASE_URL": request.getfixturevalue("database_url")} if answers["use_postgres"] else {}

    service = rendered(answers)
    # A folder of its own, for pytest tidies up in the one that runs at the same time would share.
    arguments = ["-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", f"--basetemp={service.parent / 'tmp'}"]

    if EFFORT == 1:
        # The machinery has the same bytes in all services. The CI of those in PAIRWISE tests it (test_isolation.py).
        arguments.append("tests")

    output = succeed(service, "pytest", *arguments, **environment)
    assert re.search(r"^\d+ passed in", output, re.MULTILINE), f"something was skipped, or nothing ran:\n{output}"


@every_combination
def test_serves_its_contract(
    rendered: Callable[[Answers], Path], answers: Answers, request: pytest.FixtureRequest
) -> None:
    database_url = request.getfixturevalue("database_url") if answers["use_postgres"] else None
    redis_url = request.getfixturevalue("redis_url") if answers["use_channels"] else None

    with served(rendered(answers), answers, database_url, redis_url) as server:
        speak(server.url, answers)
    if answers["use_async_middleware"]:
        assert re.search(r"WARNING django\.request \[sent-by-the-proxy\] Not Found: /nowhere", server.log)


def test_the_services_that_test_the_machinery_have_all_of_it() -> None:
    assert machinery(PAIRWISE) == machinery(COMBINATIONS)
