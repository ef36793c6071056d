"""The files of a service: they show every chosen option, and no trace of the others."""

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
def test_service_has_the_files_of_its_options_and_no_trace_of_others(
    rendered: Callable[[Answers], Path], answers: Answers
) -> None:
    service = rendered(answers)
    files = text_files(service)

    check_files(files, answers)
    check_traces(files, answers)
    check_machinery(service)
    check_whitespace(service)


@every_toggle
def test_service_differs_between_servers_only_in_server_files(
    rendered: Callable[[Answers], Path], answers: Answers
) -> None:
    files = text_files(rendered(answers))

    for server in SERVERS:
        check_server_independence(files, text_files(rendered(answers | {"asgi_server": server})))


def test_pairwise_combinations_contain_all_files_of_the_machinery() -> None:
    assert machinery(PAIRWISE) == machinery(COMBINATIONS)
