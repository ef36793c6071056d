"""What happens while a request is handled, in the order in which it does.

Views, middleware, receivers of signals, the log, the database and the client all write into one list. If that of one
stack differs from that of the other, so does their behaviour, or its order.
"""

import logging
import warnings
from collections.abc import Callable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

events: list[str] = []


def note(event: str) -> None:
    """Write down what has just happened; any thread may."""
    events.append(event)


class Scribe(logging.Handler):
    """Notes what is logged."""

    def emit(self, record: logging.LogRecord) -> None:
        """Note a record: who says what, why, and about which request."""
        error = record.exc_info[1] if record.exc_info else None
        request = getattr(record, "request", None)
        note(
            f"log {record.levelname} {record.name}: {record.getMessage()}"
            f" [{describe(error)}; {getattr(record, 'status_code', None)}; {getattr(request, 'path', None)}]"
        )


def listen_to_the_log() -> None:
    """Have everything noted that is logged, and every warning."""
    # Each time, not only the first; but when something is collected as garbage is a matter of chance.
    warnings.simplefilter("always")
    warnings.simplefilter("ignore", ResourceWarning)
    logging.captureWarnings(True)
    logging.getLogger().addHandler(Scribe())
    # Less than that is of which way the middleware was loaded, and of how long each query took.
    logging.getLogger("django").setLevel(logging.INFO)


def listen_to_the_database(connection: BaseDatabaseWrapper, **signal: Any) -> None:
    """Have the queries noted of a connection that has been opened."""
    if note_query not in connection.execute_wrappers:
        connection.execute_wrappers.append(note_query)


def note_query(execute: Callable[..., Any], sql: str, parameters: Any, many: bool, context: dict[str, Any]) -> Any:
    """Note a query, and make it."""
    note(f"query {sql} {parameters}")
    return execute(sql, parameters, many, context)


def describe(error: BaseException | None) -> str:
    """Return what kind of error it is, and what it says."""
    return "no error" if error is None else f"{type(error).__name__}: {error}"
