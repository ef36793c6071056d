"""SQLite as a Django app, which registers its migration lock."""

from django.apps import AppConfig


class SQLiteConfig(AppConfig):
    """Registers the migration lock of SQLite."""

    name = "runtime.sqlite"
    label = "runtime_sqlite"

    def ready(self) -> None:
        """Register the lock."""
        from runtime.migration_locks import MIGRATION_LOCKS
        from runtime.sqlite.file_lock import file_lock

        MIGRATION_LOCKS["sqlite"] = file_lock
