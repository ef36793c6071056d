"""Django's SQLite backend, except that it creates a missing database file with mode 0600."""

import contextlib
import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from django.db.backends.sqlite3 import base


class DatabaseWrapper(base.DatabaseWrapper):
    """Creates a missing database file with mode 0600. SQLite gives its `-wal` and `-shm` files the same mode."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Return a new connection. An existing database file keeps its mode."""
        if file := database_file(conn_params["database"]):
            create_private(file)
        return super().get_new_connection(conn_params)


def database_file(name: str | Path) -> Path | None:
    """Return the file that SQLite opens or creates for a database's NAME. Return None for a database without a file."""
    text = os.fspath(name)
    if text.startswith("file:"):
        uri = urlsplit(text)
        query = parse_qs(uri.query)
        # The other modes (`ro`, `rw`, `memory`) create no file. Another `vfs` may not create one either.
        if query.get("mode", ["rwc"])[-1] != "rwc" or "vfs" in query:
            return None
        text = unquote(uri.path)
    if text in ("", ":memory:"):
        return None
    # SQLite follows symbolic links, even to a file that does not exist yet.
    return Path(text).resolve()


def create_private(file: Path) -> None:
    """Create an empty file with mode 0600 unless the file exists. SQLite opens an empty file as an empty database."""
    # O_EXCL does not open an existing database, because closing it would release this process's POSIX locks on it.
    # SQLite itself reports every other error.
    with contextlib.suppress(OSError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
