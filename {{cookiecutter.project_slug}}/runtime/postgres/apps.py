"""PostgreSQL as a Django app, which registers its system check, its part of the lifespan and its migration lock."""

from django.apps import AppConfig


class PostgresConfig(AppConfig):
    """Limits how long database connections wait, and lets one process at a time migrate."""

    name = "runtime.postgres"
    label = "runtime_postgres"

    def ready(self) -> None:
        """Register what PostgreSQL adds."""
        from runtime.migration_locks import MIGRATION_LOCKS
        from runtime.postgres import checks  # noqa: F401
        from runtime.postgres.advisory_lock import migration_lock
        from runtime.postgres.on_loop import orm_on_loop
        from runtime.postgres.pool import connection_pools
        from runtime.server.lifespan import RESOURCES

        MIGRATION_LOCKS["postgresql"] = migration_lock
        RESOURCES.extend([connection_pools, orm_on_loop])
