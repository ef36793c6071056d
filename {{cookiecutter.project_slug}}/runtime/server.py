# {% if cookiecutter.asgi_server == "uvicorn" %}
"""The ASGI server: uvicorn."""

import uvicorn


def serve(application: str, host: str, port: int) -> None:
    """Serve an application, named as `module:attribute`, until SIGINT or SIGTERM."""
    uvicorn.run(
        application,
        host=host,
        port=port,
        # {% if not cookiecutter.use_channels %}
        ws="none",
        # {% endif %}
        lifespan="on",
        # Its messages go through the service's own LOGGING.
        log_config=None,
        # Seconds that open requests and sockets have left once it is told to stop.
        timeout_graceful_shutdown=5,
    )
# {% elif cookiecutter.asgi_server == "granian" %}
"""The ASGI server: granian."""

from granian import Granian
from granian.constants import Interfaces


def serve(application: str, host: str, port: int) -> None:
    """Serve an application, named as `module:attribute`, until SIGINT or SIGTERM."""
    Granian(
        application,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        # {% if not cookiecutter.use_channels %}
        websockets=False,
        # {% endif %}
        log_access=True,
        # Seconds that open requests and sockets have left once it is told to stop.
        workers_kill_timeout=5,
    ).serve()
# {% else %}
"""The ASGI server: Daphne."""

from daphne.endpoints import build_endpoint_description_strings
from daphne.server import Server, twisted_loop
from django.utils.module_loading import import_string

from runtime.lifespan import Lifespan


def serve(application: str, host: str, port: int) -> None:
    """Serve an application, named as `module:attribute`, until SIGINT or SIGTERM.

    Daphne does not speak the lifespan protocol, so the resources are held open around it.
    """
    lifespan: Lifespan = import_string(application.replace(":", "."))
    running = lifespan.running()
    twisted_loop.run_until_complete(running.__aenter__())
    try:
        Server(lifespan, endpoints=build_endpoint_description_strings(host=host, port=port)).run()
    finally:
        twisted_loop.run_until_complete(running.__aexit__(None, None, None))
# {% endif %}
