"""Marks that run a test once for each combination of answers."""

import pytest

from devtools.matrix import COMBINATIONS, TOGGLE_COMBINATIONS, TOGGLES, Answers, identify


def parameter(answers: Answers, *marks: pytest.MarkDecorator) -> object:
    """Return a combination as a parameter of a test.

    Combinations that differ only in the server run in the same worker, which renders each once and compares them.
    """
    group = "".join("01"[answers[toggle]] for toggle in TOGGLES)
    return pytest.param(
        answers, id=identify(answers), marks=[pytest.mark.combination, pytest.mark.xdist_group(group), *marks]
    )


every_combination = pytest.mark.parametrize("answers", [parameter(answers) for answers in COMBINATIONS])
# For checks whose result does not depend on the server (`test_service_differs_between_servers_only_in_server_files`).
every_toggle = pytest.mark.parametrize(
    "answers",
    [parameter(answers, *[] if answers in TOGGLE_COMBINATIONS else [pytest.mark.thorough]) for answers in COMBINATIONS],
)
