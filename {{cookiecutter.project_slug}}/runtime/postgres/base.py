"""Django's database backend for PostgreSQL, whose connection pool serves worker threads and the event loop."""

from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base, operations

from runtime.compat import require
from runtime.postgres.pool import Pool

require(base.DatabaseWrapper, "_configure_connection", "_connection_pools", "_set_autocommit")


class DatabaseOperations(operations.DatabaseOperations):
    """Django's operations, with the compilers that give way to the event loop."""

    compiler_module = "runtime.postgres.compiler"


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's PostgreSQL backend, with a pool of ours."""

    ops_class = DatabaseOperations

    @property
    def pool(self) -> Pool | None:
        """The process's pool for this database, or None if the settings ask for none."""
        options = self.settings_dict["OPTIONS"].get("pool")
        if self.alias == NO_DB_ALIAS or not options:
            return None
        if self.alias not in self._connection_pools:  # type: ignore[attr-defined]
            self._connection_pools.setdefault(  # type: ignore[attr-defined]
                self.alias,
                Pool(
                    kwargs={**self.get_connection_params(), "autocommit": True},
                    open=False,
                    configure=self._configure_connection,  # type: ignore[attr-defined]
                    # The URL may say `pool=true` and no more.
                    **(options if isinstance(options, dict) else {}),
                ),
            )
        pool: Pool = self._connection_pools[self.alias]  # type: ignore[attr-defined]
        return pool

    def _set_autocommit(self, autocommit: bool) -> None:
        # Connections from the pool are in this mode, and each call of the ORM gets one.
        if self.connection.autocommit != autocommit:
            super()._set_autocommit(autocommit)  # type: ignore[misc]
