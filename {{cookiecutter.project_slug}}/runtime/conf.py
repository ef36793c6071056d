"""Every setting of the machinery: its default, its unit and its reason.

The machinery reads `conf.NAME`. A service overrides it with the Django setting `RUNTIME_NAME` in `config/settings.py`,
such as `RUNTIME_HEADER_TIMEOUT = 5`. The settings of `ServiceSettings` have no prefix: `config/settings.py` sets them,
most of them from the environment. `manage.py check` reports invalid values and unknown names (`runtime.E002`).
"""

from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver

PREFIX = "RUNTIME_"


class ServiceSettings:
    """The defaults of the settings that `config/settings.py` sets."""

    # Worker threads
    MAX_THREADS = 20  # threads of a process for blocking calls; each has at most one database connection
    HASHING_THREADS = 2  # threads of a process for password hashing, so that logins do not delay queries

    # Requests
    REQUEST_TIMEOUT: float | None = 10.0  # seconds for a response; None: no limit, for a debugger
    REQUEST_BODY_TIMEOUT = 20.0  # seconds without a byte of the body, after which a request is refused
    REQUEST_MAX_SIZE = 10 * 1024 * 1024  # bytes of a body, files included; larger ones are refused before storing
    RESPONSE_WRITE_TIMEOUT = 30.0  # seconds without any read by the client, after which it is disconnected

    # Shutdown
    SHUTDOWN_DELAY = 10.0  # seconds after SIGTERM in which the load balancer must stop sending new connections
    SHUTDOWN_GRACE = 30.0  # seconds that open requests have to finish

    # Logins
    LOGIN_FAILURES_PER_USER = 5  # failures of a user name from one address before it gets a 429
    LOGIN_FAILURES_PER_ADDRESS = 100  # failures of an address, which many users may share, before it gets a 429
    LOGIN_FAILURE_WINDOW = 15 * 60  # seconds after which a failure no longer counts

    # WebSockets
    WEBSOCKET_MAX_SIZE = 64 * 1024  # bytes of a client's frame
    WEBSOCKET_RATE = 20  # frames a second of a client
    WEBSOCKET_BURST = 200  # frames that a client may send at once

    # PostgreSQL
    DATABASE_STATEMENT_TIMEOUT = 5.0  # seconds after which PostgreSQL cancels a statement of a request
    DATABASE_LOCK_TIMEOUT = 3.0  # seconds that a statement waits for a lock
    DATABASE_MIGRATION_LOCK_TIMEOUT = 10.0  # seconds that a migration waits for a table; 0: no limit


class Conf:
    """The defaults of the settings that few services override, and access to their values."""

    # Requests
    HEADER_TIMEOUT = 10.0  # seconds for a request's headers, since the connection or the end of the previous request
    MAX_HEADER_SIZE = 64 * 1024  # bytes of a request's headers (uvicorn; the other servers have limits of their own)
    MAX_PIPELINED_REQUESTS = 100  # requests of a connection that wait for an earlier one (uvicorn)
    MIN_BYTES_PER_SECOND = 10_000  # average rate of a body; time beyond it counts towards REQUEST_BODY_TIMEOUT
    LINGERING_CLOSE_TIMEOUT = 2.0  # seconds to discard the rest of a refused body, so that the client reads the error
    SEND_BUFFER_SIZE = 128 * 1024  # bytes that the kernel buffers (Daphne); with more, a stalled client is noticed late
    MAX_INLINE_FORM_SIZE = 8 * 1024  # bytes of a form that the event loop parses; a thread parses larger ones
    CLEANUP_TIMEOUT = 0.5  # seconds that a view has after REQUEST_TIMEOUT, before it is cancelled again
    OUTAGE_RETRY_AFTER = 5  # seconds in the Retry-After of a 503 for the database
    STORAGE_RETRY_AFTER = 30  # seconds in the Retry-After of a 503 for a full disk
    HEALTH_TIMEOUT = 2.0  # seconds for each check of the readiness probe
    MAX_CLIENT_CONNECTIONS = 1000  # open calls of the shared HTTP client; more calls wait
    MAX_KEEPALIVE_CLIENT_CONNECTIONS = 100  # idle connections that the shared HTTP client keeps

    # Shutdown
    CLOSING_TIMEOUT = 10  # whole seconds after SHUTDOWN_GRACE for resources to close, before a worker is killed
    DUPLICATE_SIGNAL_WINDOW = 1.0  # seconds in which two signals count as one: Ctrl-C reaches a worker twice
    LISTENER_TIMEOUT = 5.0  # seconds that the blocks of `notify_on_stop` have to end
    DRAIN_TIMEOUT = 5.0  # seconds that blocking calls have to return once the server has stopped

    # Logins
    MAX_LOGGED_NAME = 150  # characters of a user name in a log line

    # WebSockets
    WEBSOCKET_HANDSHAKE_TIMEOUT = 4.0  # seconds for a consumer to accept; some servers give up after 5
    WEBSOCKET_SEND_TIMEOUT = 10.0  # seconds for a client to take a message when its buffers are full
    WEBSOCKET_CLOSE_TIMEOUT = 1.0  # seconds to send a last message
    WEBSOCKET_LEAVE_TIMEOUT = 2.0  # seconds for client and consumer to end after it
    WEBSOCKET_MAX_AGE = 12 * 60 * 60.0  # seconds until a client must reconnect; group memberships expire after a day
    WEBSOCKET_LOG_INTERVAL = 10.0  # seconds between two log lines about the same failure
    SESSION_CHECK_INTERVAL = 60.0  # seconds between checks that a socket's session is still valid
    CHANNEL_LAYER_TIMEOUT = 2.0  # seconds that `group_send` waits for the channel layer

    # PostgreSQL
    ORM_ON_LOOP = True  # whether reads run on the event loop; if not, each takes a worker thread
    ROWS_PER_TURN = 200  # rows of a result that become instances before the event loop goes on
    CANCEL_TIMEOUT = 5.0  # seconds to cancel the statement of a request that has ended
    STATEMENT_GRACE = 2.0  # seconds after DATABASE_STATEMENT_TIMEOUT until a silent connection counts as broken
    MIGRATION_LOCK_POLL_INTERVAL = 0.5  # seconds between two attempts to lock the database for migrations

    # Development
    BLOCKED_LOOP_LIMIT = 0.1  # seconds that a callback may block the event loop before it is logged
    BLOCKED_LOOP_INTERVAL = 0.05  # seconds between two checks of the event loop
    BLOCKED_LOOP_DEPTH = 10  # innermost frames in that log line
    CTRL_C_TIMEOUT = 2.0  # seconds for the server to end after Ctrl-C, before it gets SIGTERM
    STOP_TIMEOUT = 15.0  # seconds for the server to end after SIGTERM, before it is killed

    def __getattribute__(self, name: str) -> Any:
        default = super().__getattribute__(name)
        if not name.isupper():
            return default
        values = super().__getattribute__("__dict__")
        if name not in values:
            values[name] = getattr(settings, f"{PREFIX}{name}", default)
        return values[name]


conf = Conf()


@receiver(setting_changed)
def clear_cached_value(*, setting: str, **kwargs: object) -> None:
    """Clear the cached value of a setting that a test overrides."""
    vars(conf).pop(setting.removeprefix(PREFIX), None)


def invalid_settings() -> dict[str, str]:
    """Return an error message for each invalid or unknown setting of the machinery, by the setting's name."""
    defaults = {f"{PREFIX}{name}": value for name, value in vars(Conf).items() if name.isupper()}
    known = defaults | {name: value for name, value in vars(ServiceSettings).items() if name.isupper()}
    found = {}
    for name in dir(settings):
        if name in known and not is_valid(value := getattr(settings, name), known[name], name):
            found[name] = f"{name} is {value!r}. It must be {rule_for(known[name])}, such as {known[name]!r}."
        elif name.startswith(PREFIX) and name not in known:
            found[name] = f"{name} is not a setting. See runtime/conf.py for all settings."
    return found


def is_valid(value: object, default: object, name: str) -> bool:
    """Tell whether a value is of its default's type, and if it is a number, at least 0."""
    if value is None:
        return name == "REQUEST_TIMEOUT"
    if isinstance(default, bool):
        return isinstance(value, bool)
    kinds = (int,) if isinstance(default, int) else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool) and value >= 0


def rule_for(default: object) -> str:
    """Return the rule for the values of a setting in words."""
    if isinstance(default, bool):
        return "True or False"
    return "a whole number, 0 or more" if isinstance(default, int) else "a number, 0 or more"
