"""How long a server waits for PostgreSQL: less than commands do."""

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection, connections
from django.test import TransactionTestCase, override_settings

from runtime.conf import conf
from runtime.postgres import pool as database
from runtime.postgres.pool import TimeoutConnection, connection_pools
from runtime.threads.middleware import WorkerThread


def asked(sql: str) -> object:
    """Return the one value that a query answers, on a connection of its own."""
    with TimeoutConnection.connect(**connection.get_connection_params()) as own:
        [[value]] = own.execute(sql)
        return value


class DatabaseTests(TransactionTestCase):
    async def test_a_server_has_limits_and_commands_have_none(self) -> None:
        options = connections.settings["default"]["OPTIONS"]
        async with WorkerThread(), connection_pools():
            limits = [await sync_to_async(asked)(f"SHOW {name}") for name in ("statement_timeout", "lock_timeout")]

        # Behind PgBouncer they are the role's own.
        assert limits == ["5s", "3s"] or settings.DISABLE_SERVER_SIDE_CURSORS
        assert connections.settings["default"]["OPTIONS"] == options
        assert not {"options", "connection_class"} & {*options, *options["pool"]}

    async def test_the_url_has_the_last_word(self) -> None:
        options = database.with_server_options(
            {"OPTIONS": {"pool": {}, "options": "-c lock_timeout=1"}, "DISABLE_SERVER_SIDE_CURSORS": False}
        )

        assert options["options"] == "-c statement_timeout=5000 -c lock_timeout=3000 -c lock_timeout=1"

    async def test_pgbouncer_is_sent_no_options(self) -> None:
        for pool in ({"max_size": 4}, True):
            options = database.with_server_options({"OPTIONS": {"pool": pool}, "DISABLE_SERVER_SIDE_CURSORS": True})

            assert "options" not in options
            assert options["pool"]["connection_class"] is TimeoutConnection

    @override_settings(DATABASE_STATEMENT_TIMEOUT=0.05 - conf.STATEMENT_GRACE)
    def test_a_server_that_does_not_answer_is_left(self) -> None:
        with pytest.raises(psycopg.OperationalError, match=r"has not answered within 0\.05 s"):
            # A short sleep, since the database cannot be dropped before it ends.
            asked("SELECT pg_sleep(0.5)")
