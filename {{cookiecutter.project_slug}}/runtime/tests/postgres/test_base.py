"""The database backend: what a wrapper has after each of its connections."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError, connections, transaction
from django.db.backends.signals import connection_created
from psycopg import IsolationLevel

from runtime.postgres.base import DatabaseWrapper

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def wrapper(request: pytest.FixtureRequest) -> Iterator[DatabaseWrapper]:
    """Return a wrapper whose pool has a single connection, and which has connected before."""
    wrapper = connections.create_connection("default")
    assert isinstance(wrapper, DatabaseWrapper)
    wrapper.settings_dict = wrapper.settings_dict | {"OPTIONS": wrapper.settings_dict["OPTIONS"] | options(request)}
    wrapper._connection_pools = {}
    wrapper.connect()
    wrapper.close()
    yield wrapper
    wrapper.close()
    wrapper.close_pool()


def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"pool": {"min_size": 0, "max_size": 1}} | getattr(request, "param", {})


def first_value(wrapper: DatabaseWrapper, sql: str) -> object:
    with wrapper.cursor() as cursor:
        cursor.execute(sql)
        [value] = cursor.fetchone()
    return value


def test_a_second_connection_is_the_pooled_one_and_announced(wrapper: DatabaseWrapper) -> None:
    created = []

    def count(connection: object, **kwargs: object) -> None:
        created.append(connection)

    pid = first_value(wrapper, "SELECT pg_backend_pid()")
    connection_created.connect(count)
    try:
        wrapper.close()
        assert first_value(wrapper, "SELECT pg_backend_pid()") == pid
    finally:
        connection_created.disconnect(count)

    assert created == [wrapper]


def test_autocommit_that_was_turned_off_is_on_again(wrapper: DatabaseWrapper) -> None:
    wrapper.set_autocommit(False)
    wrapper.close()

    wrapper.connect()

    assert wrapper.get_autocommit()
    assert first_value(wrapper, "SELECT pg_current_xact_id_if_assigned() IS NULL")
    assert wrapper.connection.autocommit


def test_a_transaction_that_loses_its_connection_fails_without_another_one(wrapper: DatabaseWrapper) -> None:
    assert wrapper.pool is not None
    connections["lost"] = wrapper
    try:
        with pytest.raises(OperationalError, match="terminating connection"), transaction.atomic("lost"):
            first_value(wrapper, "SELECT pg_terminate_backend(pg_backend_pid())")
    finally:
        del connections["lost"]

    assert wrapper.connection is None
    assert wrapper.pool.get_stats()["requests_num"] == 2
    assert wrapper.get_autocommit()


def test_an_error_and_a_transaction_that_was_left_open_are_forgotten(wrapper: DatabaseWrapper) -> None:
    wrapper.connect()
    wrapper.errors_occurred = True
    wrapper.in_atomic_block = wrapper.needs_rollback = True
    wrapper.close()

    wrapper.connect()

    assert (wrapper.errors_occurred, wrapper.in_atomic_block, wrapper.needs_rollback) == (False, False, False)


@pytest.mark.parametrize("wrapper", [{"isolation_level": IsolationLevel.SERIALIZABLE}], indirect=True)
def test_an_isolation_level_is_set_for_each_connection(wrapper: DatabaseWrapper) -> None:
    for _ in range(2):
        wrapper.connect()
        wrapper.set_autocommit(False)
        assert first_value(wrapper, "SHOW transaction_isolation") == "serializable"
        wrapper.rollback()
        wrapper.close()
        assert wrapper.pool is not None
        wrapper.pool.drain()
