"""The compilers of SQL: Django's own, whose long results give way to the event loop."""

from collections.abc import Iterator
from typing import Any

from django.db.backends.postgresql import compiler
from django.db.backends.postgresql.compiler import (
    SQLAggregateCompiler,
    SQLDeleteCompiler,
    SQLInsertCompiler,
    SQLUpdateCompiler,
)

from runtime.conf import conf
from runtime.postgres.greenlets import LoopGreenlet, current_greenlet

__all__ = ["SQLAggregateCompiler", "SQLCompiler", "SQLDeleteCompiler", "SQLInsertCompiler", "SQLUpdateCompiler"]


class SQLCompiler(compiler.SQLCompiler):
    """Yields the rows of a long result in parts, between which other requests go on."""

    def results_iter(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Yield the rows, from which the ORM makes instances."""
        rows: Iterator[Any] = super().results_iter(*args, **kwargs)
        current = current_greenlet()
        return rows if current is None else giving_way(rows, current)


def giving_way(rows: Iterator[Any], current: LoopGreenlet) -> Iterator[Any]:
    """Yield rows, and let the event loop go on after every `conf.ROWS_PER_TURN` of them."""
    for number, row in enumerate(rows, 1):
        yield row
        if number % conf.ROWS_PER_TURN == 0:
            current.give_way()
