"""The database backend `runtime.sqlite`: Django's own, which creates a missing database file with mode 0600."""

import contextlib
import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from django.db.backends.sqlite3 import base


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's SQLite backend. SQLite gives its `-wal` and `-shm` files the mode of the database."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Return a new connection. A database file that exists keeps the mode that its owner has chosen."""
        if file := database_file(conn_params["database"]):
            create_private(file)
        return super().get_new_connection(conn_params)


def database_file(name: str | Path) -> Path | None:
    """Return the file that SQLite opens, or would create, for a database's NAME; None if there is no such file."""
    text = os.fspath(name)
    if text.startswith("file:"):
        uri = urlsplit(text)
        query = parse_qs(uri.query)
        # The other modes, `ro`, `rw` and `memory`, create no file; neither may another `vfs`.
        if query.get("mode", ["rwc"])[-1] != "rwc" or "vfs" in query:
            return None
        text = unquote(uri.path)
    if text in ("", ":memory:"):
        return None
    # SQLite follows symbolic links, also one to a file that does not exist yet.
    return Path(text).resolve()


def create_private(file: Path) -> None:
    """Create an empty file with mode 0600, unless something is there. An empty file is an empty database."""
    # O_EXCL never opens an existing database: closing it again would drop the locks that this process has on it. SQLite
    # reports every other error itself.
    with contextlib.suppress(OSError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
