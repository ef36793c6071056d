"""What the tests of faults share, beside what all tests do: servers that stand in front, or that they may kill."""

from collections.abc import Iterator

import pytest

from tests.support.pgbouncer import PgBouncer, running_pgbouncer


@pytest.fixture
def pgbouncer(database_url: str, postgres_socket: str) -> Iterator[PgBouncer]:
    """Return a PgBouncer in front of an empty database."""
    with running_pgbouncer(database_url, postgres_socket) as running:
        yield running
