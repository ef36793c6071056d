"""`manage.py migrate`: Django's command, with a lock so that several replicas may run it at the same time."""

from typing import Any

from django.core.management.commands import migrate
from django.db import connections

# {% if cookiecutter.use_postgres %}
from runtime.advisory_lock import advisory_lock, table_lock_timeout
# {% else %}
from runtime.file_lock import file_lock
# {% endif %}


class Command(migrate.Command):
    """Django's command. `--check` and `--plan` only read, so they take no lock."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate. The plan is made under the lock: what another process has applied meanwhile is not applied again."""
        if options["check_unapplied"] or options["plan"]:
            super().handle(*args, **options)
            return
        connection = connections[options["database"]]

        def report(holder: str) -> None:
            if options["verbosity"]:
                self.stdout.write(f"Waiting for {holder}, which is migrating the same database.")
                self.stdout.flush()

        # {% if cookiecutter.use_postgres %}
        with advisory_lock(connection, report), table_lock_timeout(connection):
            super().handle(*args, **options)
        # {% else %}
        with file_lock(connection, report):
            super().handle(*args, **options)
        # {% endif %}
