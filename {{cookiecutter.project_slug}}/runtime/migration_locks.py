"""The locks that keep several processes from migrating one database at the same time."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from django.db.backends.base.base import BaseDatabaseWrapper

# A context manager that holds the lock of a database. If it has to wait, it first calls the function with the name of
# the process that holds the lock.
type MigrationLock = Callable[[BaseDatabaseWrapper, Callable[[str], None]], AbstractContextManager[None]]

# The locks by `connection.vendor`. The Django app of each database backend registers its lock.
MIGRATION_LOCKS: dict[str, MigrationLock] = {}
