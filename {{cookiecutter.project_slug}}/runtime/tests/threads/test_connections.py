"""Database connections of worker threads, between two requests."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from runtime.tests.service import User
from runtime.tests.threads.calls import run
from runtime.threads.connections import ConnectionResettingExecutor
from runtime.threads.executors import RequestExecutor
from runtime.threads.pool import WorkerPool


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_a_call_opened_in_the_default_executor_is_closed_after_the_call() -> None:
    def opened() -> bool:
        connection.ensure_connection()
        return connection.connection is not None

    with ConnectionResettingExecutor(max_workers=1) as executor:
        assert executor.submit(opened).result()
        assert executor.submit(lambda: connection.connection).result() is None


def begin() -> None:
    """Begin a transaction, write in it, and forget it."""
    transaction.atomic().__enter__()
    User.objects.create(username="half")


def without_autocommit() -> None:
    """Leave a connection in another state than it was in."""
    transaction.set_autocommit(False)
    User.objects.create(username="half")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("leave", [begin, without_autocommit])
def test_the_next_request_finds_no_state_of_the_last_one(one_thread: WorkerPool, leave: Callable[[], None]) -> None:
    first, second = RequestExecutor(one_thread), RequestExecutor(one_thread)
    run(first, leave)
    first.release()

    try:
        assert run(second, lambda: connection.connection is None or connection.get_autocommit())
        assert not run(second, lambda: connection.in_atomic_block)
        assert run(second, User.objects.count) == 0
    finally:
        second.release()


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_cannot_be_closed_is_dropped(
    one_thread: WorkerPool, caplog: pytest.LogCaptureFixture
) -> None:
    def spoil() -> None:
        connection.ensure_connection()
        connection.close_if_unusable_or_obsolete = fail  # type: ignore[method-assign]
        dropped.append(connection.connection)

    def fail() -> None:
        raise OSError("broken")

    dropped: list[Any] = []
    first, second = RequestExecutor(one_thread), RequestExecutor(one_thread)
    run(first, spoil)
    first.release()

    assert run(second, User.objects.count) == 0
    assert "Could not close a connection to the database default" in caplog.text
    second.release()
    dropped[0].close()
