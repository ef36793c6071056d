"""The ASGI server: {{ cookiecutter.asgi_server }}.

`manage.py runserver` calls `serve` below.
# {% if cookiecutter.asgi_server == "daphne" %}
Production runs `python -m runtime.server`, which is Daphne's own command line, for a server that speaks lifespan too.
# {% else %}
Production runs {{ cookiecutter.asgi_server }}'s own command line.
# {% endif %}
"""

# {% if cookiecutter.asgi_server == "daphne" %}
import asyncio
import sys
from typing import Any

from daphne.cli import CommandLineInterface
from daphne.endpoints import build_endpoint_description_strings
from daphne.server import Server, twisted_loop
from django.utils.module_loading import import_string
# {% elif cookiecutter.asgi_server == "granian" %}
from granian import Granian
from granian.constants import Interfaces
# {% else %}
import uvicorn
# {% endif %}

# {% if cookiecutter.asgi_server == "daphne" %}

class LifespanServer(Server):
    """Tells the application before the first request that it starts, and after the last that it stops."""

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM. Exit with a message if the application cannot start or stop."""
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        lifespan = twisted_loop.create_task(self.application(scope, self.events.get, self.answers.put))
        self.tell("lifespan.startup")
        try:
            super().run()
        finally:
            self.tell("lifespan.shutdown")
            twisted_loop.run_until_complete(lifespan)

    def tell(self, event: str) -> None:
        """Send the application an event, and wait until it has acted on it."""
        self.events.put_nowait({"type": event})
        answer = twisted_loop.run_until_complete(self.answers.get())
        if answer["type"] != f"{event}.complete":
            sys.exit(f"{answer['type']}: {answer['message']}")


class CommandLine(CommandLineInterface):
    """Daphne's command line, for the server above."""

    server_class = LifespanServer


# {% else %}

# {% endif %}
def serve(application: str, host: str, port: int) -> None:
    """Serve an application, named as `module:attribute`, until SIGINT or SIGTERM."""
    # {% if cookiecutter.asgi_server == "uvicorn" %}
    uvicorn.run(
        application,
        host=host,
        port=port,
        lifespan="on",
        # Its messages go through the service's own LOGGING.
        log_config=None,
        # Seconds that open requests and sockets have left once it is told to stop.
        timeout_graceful_shutdown=5,
    )
    # {% elif cookiecutter.asgi_server == "granian" %}
    Granian(
        application,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        log_access=True,
        # Seconds that open requests and sockets have left once it is told to stop.
        workers_kill_timeout=5,
    ).serve()
    # {% else %}
    endpoints = build_endpoint_description_strings(host=host, port=port)
    LifespanServer(import_string(application.replace(":", ".")), endpoints=endpoints).run()
    # {% endif %}
# {% if cookiecutter.asgi_server == "daphne" %}


if __name__ == "__main__":
    CommandLine.entrypoint()
# {% endif %}
