"""Empty databases on a PostgreSQL that tests share."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql


@contextmanager
def empty_database(postgres_socket: str) -> Iterator[str]:
    """Hold an empty database; yield its URL."""
    name = f"service_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(host=postgres_socket, user="postgres", autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield f"postgresql://postgres:@/{name}?host={postgres_socket}"
    with psycopg.connect(host=postgres_socket, user="postgres", autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
