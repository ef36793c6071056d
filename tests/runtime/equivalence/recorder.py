"""The events during a request, in their order.

Views, middleware, signal receivers, log handlers, the database and the client all append to one list. If the lists of
the two stacks differ, their behaviour differs.
"""

import logging
import warnings
from collections.abc import Callable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

events: list[str] = []


def note(event: str) -> None:
    """Append an event. Safe in any thread."""
    events.append(event)


class RecordingHandler(logging.Handler):
    """Notes each log record."""

    def emit(self, record: logging.LogRecord) -> None:
        """Note the level, the logger, the message, the error and the request of a record."""
        error = record.exc_info[1] if record.exc_info else None
        request = getattr(record, "request", None)
        note(
            f"log {record.levelname} {record.name}: {record.getMessage()}"
            f" [{describe(error)}; {getattr(record, 'status_code', None)}; {getattr(request, 'path', None)}]"
        )


def record_log() -> None:
    """Note every log record and every warning from now on."""
    # Note a warning every time, not only once. A ResourceWarning comes whenever the garbage collector runs.
    warnings.simplefilter("always")
    warnings.simplefilter("ignore", ResourceWarning)
    logging.captureWarnings(True)
    logging.getLogger().addHandler(RecordingHandler())
    # DEBUG records say how the middleware was loaded and how long a query took, which differs between the stacks.
    logging.getLogger("django").setLevel(logging.INFO)


def record_queries(connection: BaseDatabaseWrapper, **signal: Any) -> None:
    """Note the queries of a new connection."""
    if record_query not in connection.execute_wrappers:
        connection.execute_wrappers.append(record_query)


def record_query(execute: Callable[..., Any], sql: str, parameters: Any, many: bool, context: dict[str, Any]) -> Any:
    """Note a query, and execute it."""
    note(f"query {sql} {parameters}")
    return execute(sql, parameters, many, context)


def describe(error: BaseException | None) -> str:
    """Return the type and the message of an error."""
    return "no error" if error is None else f"{type(error).__name__}: {error}"
