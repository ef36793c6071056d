"""A service with `probe/` in it: views that sleep, read and query for as long as a test wants."""

import shutil
from pathlib import Path

from devtools.commands import TIMEOUT
from devtools.matrix import Answers
from devtools.rendering import configure, render

PROBE = Path(__file__).with_name("probe")


def with_probe(answers: Answers, directory: Path) -> Path:
    """Render a service and put the probe into it."""
    service = render(answers, directory)
    shutil.copytree(PROBE, service / "probe")
    with (service / "config" / "urls.py").open("a") as urls:
        urls.write('urlpatterns += [path("probe/", include("probe.urls"))]\n')
    with (service / "catalog" / "routing.py").open("a") as routing:
        routing.write(
            "from probe.consumers import SlowConsumer\n"
            'websocket_urlpatterns.insert(0, path("ws/slow/", SlowConsumer.as_asgi()))\n'
        )
    # What is asked here is what many requests leave behind, not how long a check of health takes beside them.
    configure(service, RUNTIME_HEALTH_TIMEOUT=TIMEOUT)
    return service
