"""A service with the app `probe`, whose views sleep, read and query for as long as a test requests."""

import shutil
from pathlib import Path

from devtools.commands import TIMEOUT
from devtools.matrix import Answers
from devtools.rendering import configure, render

PROBE = Path(__file__).with_name("probe")


def render_with_probe(answers: Answers, directory: Path) -> Path:
    """Render a service with the probe; return its folder."""
    service = render(answers, directory)
    shutil.copytree(PROBE, service / "probe")
    with (service / "config" / "urls.py").open("a") as urls:
        urls.write('urlpatterns += [path("probe/", include("probe.urls"))]\n')
    with (service / "catalog" / "routing.py").open("a") as routing:
        routing.write(
            "from probe.consumers import SlowConsumer\n"
            'websocket_urlpatterns.insert(0, path("ws/slow/", SlowConsumer.as_asgi()))\n'
        )
    # These tests put the service under load, and do not measure how long a health check takes then.
    configure(service, RUNTIME_HEALTH_TIMEOUT=TIMEOUT)
    return service
