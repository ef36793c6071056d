"""Django's database backend for PostgreSQL, whose connection pool serves worker threads and the event loop."""

import time
from typing import Any

from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base, operations
from django.db.backends.signals import connection_created

from runtime.compat import require
from runtime.postgres.pool import Pool

require(base.DatabaseWrapper, "_configure_connection", "_connection_pools", "_set_autocommit")


class DatabaseOperations(operations.DatabaseOperations):
    """Django's operations, with the compilers that give way to the event loop."""

    compiler_module = "runtime.postgres.compiler"


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's PostgreSQL backend, with a pool of ours."""

    ops_class = DatabaseOperations
    # The pool of the last connection.
    last_pool: Pool | None = None

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

    def connect(self) -> None:
        """Take a connection from the pool, or open one.

        Django would derive the parameters of a connection again, which the pool already has, and set up what this
        wrapper has kept from its last connection. That takes longer than a short query is prepared.
        """
        is_clean = not (self.in_atomic_block or self.closed_in_transaction or self.needs_rollback)
        if self.last_pool is None or self.last_pool is not self.pool or not is_clean:
            super().connect()
            # An isolation level is set for each connection.
            self.last_pool = None if "isolation_level" in self.settings_dict["OPTIONS"] else self.pool
            return
        max_age = self.settings_dict["CONN_MAX_AGE"]
        self.close_at = None if max_age is None else time.monotonic() + max_age
        self.errors_occurred = False
        self.health_check_done = True
        self.connection = self.last_pool.getconn()
        self.set_autocommit(self.settings_dict["AUTOCOMMIT"])
        connection_created.send(sender=type(self), connection=self)

    def set_autocommit(self, autocommit: bool, *args: Any, **kwargs: Any) -> None:
        """Set whether each statement is a transaction of its own, if there is a connection."""
        # `atomic` calls this after it has closed a lost connection. Django would take another one from the pool, so
        # that with a busy pool a request waits before it fails. `connect` sets this mode for the next one.
        is_closed = self.connection is None and not self.in_atomic_block
        if is_closed and autocommit == self.settings_dict["AUTOCOMMIT"]:
            self.autocommit = autocommit
            return
        super().set_autocommit(autocommit, *args, **kwargs)

    def _set_autocommit(self, autocommit: bool) -> None:
        # Connections from the pool are in this mode, and each call of the ORM gets one.
        if self.connection.autocommit != autocommit:
            super()._set_autocommit(autocommit)  # type: ignore[misc]
