"""The locks that keep several processes from migrating one database at the same time."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from django.db.backends.base.base import BaseDatabaseWrapper

# A context manager that holds the lock of a database. It calls the function once, with the name of the process that
# holds the lock, if it has to wait.
type MigrationLock = Callable[[BaseDatabaseWrapper, Callable[[str], None]], AbstractContextManager[None]]

# By `connection.vendor`. The app of a database registers its lock.
MIGRATION_LOCKS: dict[str, MigrationLock] = {}
