"""The command that starts the service in production: `python -m runtime.server`."""

import argparse
import os

from django.conf import settings
from django.utils.log import configure_logging

from runtime import server


def main() -> None:
    """Serve the application at the address from the command line."""
    parser = argparse.ArgumentParser(prog="python -m runtime.server", description="Serves the ASGI application.")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at (%(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="the port to listen at (%(default)s)")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    # The server logs before it imports the application, and only the application sets Django up.
    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
    # Services on Daphne do not have the setting, because Daphne has no worker processes.
    server.serve(options.host, options.port, getattr(settings, "WEB_CONCURRENCY", 1))


if __name__ == "__main__":
    main()
