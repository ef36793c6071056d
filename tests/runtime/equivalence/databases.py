"""The databases in which cases are replayed: SQLite for all of them, and PostgreSQL for those that make queries."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

USERS = "SELECT username, last_login, password FROM auth_user ORDER BY id"
SESSIONS = "SELECT * FROM django_session ORDER BY session_key"


def described_rows(connection: sqlite3.Connection | psycopg.Connection) -> list[str]:
    """Return the users and the sessions, a line each."""
    users, sessions = connection.execute(USERS), connection.execute(SESSIONS)
    return [f"user {row}" for row in users] + [f"session {row}" for row in sessions]


class SQLite:
    """A database in a file."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def configuration(self, stack: str) -> dict[str, Any]:
        """Return the entry of settings.DATABASES."""
        # The data need not survive a power failure.
        options = {"init_command": "PRAGMA synchronous=OFF; PRAGMA journal_mode=MEMORY"}
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": self.path, "OPTIONS": options}

    def save(self) -> None:
        """Save the rows for `restore`."""
        self.saved = self.path.read_bytes()

    def restore(self) -> None:
        """Replace the rows by the saved ones."""
        self.path.write_bytes(self.saved)

    def rows(self) -> list[str]:
        """Return the users and the sessions, a line each."""
        with closing(sqlite3.connect(self.path)) as connection:
            return described_rows(connection)

    @asynccontextmanager
    async def serving(self, stack: str) -> AsyncIterator[None]:
        """Run the ORM as the stack's server does."""
        yield


class PostgreSQL:
    """A database on a server. The runtime makes its queries on the event loop."""

    def __init__(self, url: str) -> None:
        self.parameters = conninfo_to_dict(url)
        self.connection = psycopg.connect(url, autocommit=True)

    def configuration(self, stack: str) -> dict[str, Any]:
        """Return the entry of settings.DATABASES."""
        names = {"NAME": "dbname", "USER": "user", "HOST": "host"}
        parameters = {key: self.parameters[name] for key, name in names.items()}
        if stack != "runtime":
            return {"ENGINE": "django.db.backends.postgresql", **parameters}
        pool = {"min_size": 0, "max_size": 4}
        return {
            "ENGINE": "runtime.postgres",
            "OPTIONS": {"pool": pool},
            "DISABLE_SERVER_SIDE_CURSORS": False,
            **parameters,
        }

    def save(self) -> None:
        """Save the rows for `restore`."""
        for table in ("auth_user", "django_session"):
            self.connection.execute(f"CREATE TEMPORARY TABLE saved_{table} AS TABLE {table}")
        self.reset_keys()

    def restore(self) -> None:
        """Replace the rows by the saved ones."""
        for table in ("auth_user", "django_session"):
            self.connection.execute(f"TRUNCATE {table} CASCADE")
            self.connection.execute(f"INSERT INTO {table} TABLE saved_{table}")
        self.reset_keys()

    def reset_keys(self) -> None:
        """Have the next user get the key after the last one."""
        self.connection.execute("SELECT setval('auth_user_id_seq', max(id)) FROM auth_user")

    def rows(self) -> list[str]:
        """Return the users and the sessions, a line each."""
        return described_rows(self.connection)

    @asynccontextmanager
    async def serving(self, stack: str) -> AsyncIterator[None]:
        """Run the ORM as the stack's server does."""
        if stack != "runtime":
            yield
            return

        from runtime.postgres.on_loop import orm_on_loop
        from runtime.postgres.pool import connection_pools

        async with connection_pools(), orm_on_loop():
            yield


type Database = SQLite | PostgreSQL


def database_at(location: str) -> Database:
    """Return the database in a file or at a URL."""
    return PostgreSQL(location) if location.startswith("postgresql:") else SQLite(location)
