"""Commands that serve an application on the loopback interface: one worker process, uvloop, no access log."""

import sys


def uvicorn(application: str, port: int) -> list[str]:
    """Return uvicorn's command for an ASGI application, named as `module:attribute`."""
    options = ["--port", str(port), "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    return [sys.executable, "-m", "uvicorn", application, *options]


def granian(application: str, port: int) -> list[str]:
    """Return granian's command for an ASGI application, named as `module:attribute`."""
    options = ["--port", str(port), "--loop", "uvloop", "--interface", "asgi"]
    return [sys.executable, "-m", "granian", application, *options]


def runbolt(application: str, port: int) -> list[str]:
    """Return the command of django-bolt's own server for an API, named as `module:attribute`."""
    return [sys.executable, "-m", "peers.bolt_server", application, str(port)]
