"""`manage.py check`: settings of a connection pool that do not fit the rest."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core import checks


@checks.register("runtime")
def check_pools(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    """Warn about a pool that Django refuses, and about one that is smaller than the number of worker threads."""
    for alias, database in settings.DATABASES.items():
        pool = database.get("OPTIONS", {}).get("pool")
        if pool and database.get("CONN_MAX_AGE", 0) != 0:
            yield checks.Warning(
                f"DATABASES[{alias!r}] sets CONN_MAX_AGE and has a connection pool: Django refuses to connect.",
                hint="Remove CONN_MAX_AGE. The pool's max_lifetime and max_idle close connections.",
                id="runtime.W005",
            )
        size = pool.get("max_size") if isinstance(pool, dict) else None
        if size and size < settings.MAX_THREADS:
            yield checks.Warning(
                f"MAX_THREADS is {settings.MAX_THREADS}, but the pool of DATABASES[{alias!r}] has {size} connections.",
                hint="Set the pool's max_size to MAX_THREADS or more: each worker thread may need a connection.",
                id="runtime.W006",
            )
