"""Runs the ASGI application on the chosen server (command: `python -m runtime.server`)."""

from importlib import import_module

from django.conf import settings


def serve(host: str, port: int, workers: int = 1) -> None:
    """Serve `settings.ASGI_APPLICATION` with the module `settings.ASGI_SERVER` until SIGINT or SIGTERM."""
    application = ":".join(settings.ASGI_APPLICATION.rsplit(".", 1))
    import_module(settings.ASGI_SERVER).serve(application, host, port, workers)
