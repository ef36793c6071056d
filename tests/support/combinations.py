"""Marks that run a test for combinations of answers."""

import pytest

from devtools.matrix import COMBINATIONS, TOGGLED, TOGGLES, Answers, identify


def parameter(answers: Answers, *marks: pytest.MarkDecorator) -> object:
    """Return a combination as a parameter of a test.

    One worker gets all servers of the same toggles, because it renders them once and compares them.
    """
    group = "".join("01"[answers[toggle]] for toggle in TOGGLES)
    return pytest.param(
        answers, id=identify(answers), marks=[pytest.mark.combination, pytest.mark.xdist_group(group), *marks]
    )


every_combination = pytest.mark.parametrize("answers", [parameter(answers) for answers in COMBINATIONS])
# For checks whose outcome the server cannot change (`test_the_server_changes_no_other_code`).
every_toggle = pytest.mark.parametrize(
    "answers",
    [parameter(answers, *[] if answers in TOGGLED else [pytest.mark.thorough]) for answers in COMBINATIONS],
)
