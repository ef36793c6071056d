"""A file lock that lets only one process at a time migrate an SQLite database."""

import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.management.base import CommandError
from django.db.backends.base.base import BaseDatabaseWrapper

from runtime.sqlite.base import database_file


@contextmanager
def file_lock(connection: BaseDatabaseWrapper, report: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a database. While another process holds it, report that process once and wait.

    SQLite's own lock is released after each migration's transaction, so it does not protect the whole command. The
    system releases the file lock of a killed process.
    """
    database = database_file(connection.settings_dict["NAME"]) if connection.vendor == "sqlite" else None
    if database is None:
        yield
        return
    path = database.with_name(f"{database.name}-migrate")
    descriptor = acquire(path, report)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def acquire(path: Path, report: Callable[[str], None]) -> int:
    """Return the descriptor of the locked file. Raises CommandError if the file cannot be created."""
    reported = False
    while True:
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise CommandError(
                f"Cannot create {path}, which locks the database during migrations: {error.strerror}."
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not reported:
                report(os.read(descriptor, 200).decode() or "another process")
                reported = True
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        # The previous holder has removed the file, and a third process may already have locked a new one.
        if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
        os.close(descriptor)
