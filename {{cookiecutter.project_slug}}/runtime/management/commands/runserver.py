"""`manage.py runserver`, which serves the ASGI application and restarts the server when the code changes."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.core.management.commands import runserver
from django.db import connections
from django.utils.autoreload import get_child_arguments

from runtime.conf import conf
from runtime.server import serve


class Command(runserver.Command):
    """Django's command with the chosen ASGI server and a graceful reload."""

    # `handle` has parsed these from the command line.
    addr: str
    port: str
    use_ipv6: bool

    help = "Serves the ASGI application, and reloads it when the code changes."

    def run(self, **options: Any) -> None:
        """Serve the application. With the reloader, a child process serves it."""
        self.check_port()
        if options["use_reloader"]:
            run_and_reload([*get_child_arguments(), "--noreload"], Path(settings.BASE_DIR))
        else:
            self.inner_run(**options)

    def inner_run(self, *args: Any, **options: Any) -> None:
        """Check the project as Django's command does, then serve it."""
        if not options["skip_checks"]:
            self.check(display_num_errors=True)
        self.check_migrations()
        close_connection_pools()
        address = f"[{self.addr}]" if self.use_ipv6 else self.addr
        self.stdout.write(f"Serving {settings.ASGI_APPLICATION} at http://{address}:{self.port}/ (Ctrl-C stops it)")
        self.stdout.flush()
        # Exit through `sys.exit` so that atexit handlers run (they stop the development PostgreSQL).
        # The server replaces this handler while it runs.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            serve(self.addr, int(self.port))
        except KeyboardInterrupt:
            sys.exit(0)

    def check_port(self) -> None:
        """Raise CommandError if the address is taken or invalid, so that all servers report it in the same way."""
        family = socket.AF_INET6 if self.use_ipv6 else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.addr, int(self.port)))
            except (OSError, OverflowError) as error:
                reason = str(error).rstrip(".")
                raise CommandError(
                    f"Cannot listen at {self.addr}:{self.port}: {reason}. Use another port, as in `runserver 8001`."
                ) from error


def close_connection_pools() -> None:
    """Close the connection pools that the checks have opened, because a pool does not survive a fork of the server."""
    for connection in connections.all(initialized_only=True):
        # Only some database backends have pools.
        if hasattr(connection, "close_pool"):
            connection.close()
            connection.close_pool()


def run_and_reload(command: list[str], directory: Path) -> None:
    """Run a command until SIGINT or SIGTERM, and restart it after each change to the code in a directory.

    Unlike Django's reloader, it stops the server gracefully. `watchfiles.run_process` would kill the server after 5
    seconds, which is too short for SHUTDOWN_GRACE and for closing the resources.
    """
    from watchfiles import watch  # a development dependency

    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    while not stopped.is_set():
        process = subprocess.Popen(command)  # noqa: S603 (our own command line)
        try:
            next(watch(*watched_paths(directory), watch_filter=is_code, stop_event=stopped), None)
        except KeyboardInterrupt:
            stopped.set()
            # The terminal has sent SIGINT to the server as well. A second signal would abort its requests.
            wait(process, conf.CTRL_C_TIMEOUT)
        process.terminate()
        if not wait(process, conf.STOP_TIMEOUT):
            process.kill()


def wait(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait until a process has ended. Return whether it has ended in time."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def watched_paths(directory: Path) -> Iterator[Path]:
    """Yield the paths in a directory to watch: all except hidden ones, such as the virtual environment."""
    for path in directory.iterdir():
        if path.name == ".env" or not path.name.startswith("."):
            yield path


def is_code(change: object, path: str) -> bool:
    """Tell whether a changed file requires a restart."""
    return path.endswith((".env", ".html", ".py"))
