"""What `manage.py check` says of connection pools."""

from typing import Any

import pytest
from django.core import checks
from django.test import override_settings

POOL = {"pool": {"max_size": 20}}


def found(database: dict[str, Any]) -> list[str | None]:
    """Return the IDs of the messages for a database."""
    # Django warns that a test should not override DATABASES, since its connections ignore that. The check reads it.
    with (
        pytest.warns(UserWarning, match="DATABASES"),
        override_settings(DATABASES={"default": database}, MAX_THREADS=20),
    ):
        return [message.id for message in checks.run_checks(tags=["runtime"])]


@pytest.mark.parametrize(
    ("faulty", "right", "warning"),
    [
        ({"CONN_MAX_AGE": 60, "OPTIONS": POOL}, {"CONN_MAX_AGE": 60}, "runtime.W005"),
        ({"OPTIONS": {"pool": {"max_size": 19}}}, {"OPTIONS": POOL}, "runtime.W006"),
    ],
)
def test_a_pool_that_does_not_fit_is_reported(faulty: dict[str, Any], right: dict[str, Any], warning: str) -> None:
    assert found(faulty) == [warning]
    assert found(right) == []
