"""`manage.py migrate` with a lock, so that several replicas may run it at the same time."""

from contextlib import nullcontext
from typing import Any

from django.core.management.commands import migrate
from django.db import connections

from runtime.migration_locks import MIGRATION_LOCKS


class Command(migrate.Command):
    """Django's command with a lock. `--check` and `--plan` only read, so they take no lock."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate under the lock. Django plans under the lock too, so no migration is applied twice."""
        if options["check_unapplied"] or options["plan"]:
            super().handle(*args, **options)
            return
        connection = connections[options["database"]]

        def report(holder: str) -> None:
            if options["verbosity"]:
                self.stdout.write(f"Waiting for {holder}, which is migrating the same database.")
                self.stdout.flush()

        lock = MIGRATION_LOCKS.get(connection.vendor)
        with lock(connection, report) if lock else nullcontext():
            super().handle(*args, **options)
