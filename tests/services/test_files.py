"""Which files a service has, and what is in them: what was chosen, and no trace of the rest."""

from collections.abc import Callable
from pathlib import Path

from devtools.matrix import COMBINATIONS, PAIRWISE, SERVERS, Answers
from devtools.rendering import text_files
from tests.support.combinations import every_combination, every_toggle
from tests.support.expectations import (
    check_files,
    check_machinery,
    check_server_independence,
    check_traces,
    check_whitespace,
    machinery,
)


@every_combination
def test_has_what_was_chosen_and_no_trace_of_the_rest(rendered: Callable[[Answers], Path], answers: Answers) -> None:
    service = rendered(answers)
    files = text_files(service)

    check_files(files, answers)
    check_traces(files, answers)
    check_machinery(service)
    check_whitespace(service)


@every_toggle
def test_the_server_changes_no_other_code(rendered: Callable[[Answers], Path], answers: Answers) -> None:
    files = text_files(rendered(answers))

    for server in SERVERS:
        check_server_independence(files, text_files(rendered(answers | {"asgi_server": server})))


def test_the_services_that_test_the_machinery_have_all_of_it() -> None:
    assert machinery(PAIRWISE) == machinery(COMBINATIONS)
