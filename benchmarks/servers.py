"""The commands that serve an ASGI application on the loopback interface: one worker, uvloop, no log of requests."""

import sys


def uvicorn(application: str, port: int) -> list[str]:
    """Return uvicorn's command for an application, named as `module:attribute`."""
    options = ["--port", str(port), "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    return [sys.executable, "-m", "uvicorn", application, *options]


def granian(application: str, port: int) -> list[str]:
    """Return granian's command for an application, named as `module:attribute`."""
    options = ["--port", str(port), "--loop", "uvloop", "--interface", "asgi"]
    return [sys.executable, "-m", "granian", application, *options]
