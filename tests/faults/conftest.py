"""Shared by the tests of faults: a PgBouncer in front of a database."""

from collections.abc import Iterator

import pytest

from tests.support.pgbouncer import PgBouncer, running_pgbouncer


@pytest.fixture
def pgbouncer(database_url: str, postgres_socket: str) -> Iterator[PgBouncer]:
    """Return a PgBouncer in front of an empty database."""
    with running_pgbouncer(database_url, postgres_socket) as running:
        yield running
