"""A rendered service with production settings, prepared and started by the commands of its own Makefile."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devtools.browser import PASSWORD, USERNAME
from devtools.commands import TIMEOUT, check_output
from devtools.matrix import Answers
from devtools.ports import free_port
from devtools.servers import Server, booted
from devtools.suppliers import suppliers

# No load balancer has to notice the shutdown, and a busy machine may be slow to answer a request.
TEST_TIMEOUTS = {"SHUTDOWN_DELAY": "0", "REQUEST_TIMEOUT": str(TIMEOUT)}
PREPARE = str(Path(__file__).with_name("prepare.py"))


def production_environment(answers: Answers, database_url: str | None, redis_url: str | None) -> dict[str, str]:
    """Return the environment variables that a combination requires in production, and no others."""
    environment = {"DEBUG": "false", "SECRET_KEY": "only these tests know it, and there are fifty characters of it"}
    if answers["use_postgres"]:
        assert database_url
        environment["DATABASE_URL"] = database_url
    if answers["use_channels"]:
        assert redis_url
        environment["REDIS_URL"] = redis_url
    return environment


def make_commands(service: Path, target: str, **variables: object) -> list[str]:
    """Return the commands of a target of the service's Makefile, without the prefix `uv run`."""
    settings = [f"{name}={value}" for name, value in ({"RUN": ""} | variables).items()]
    return check_output(service, "make", "--dry-run", "--no-print-directory", target, *settings).splitlines()


def prepare(service: Path, environment: dict[str, str]) -> None:
    """Check and migrate a service as `make serve` does, and add the superuser. Raises AssertionError if that fails."""
    superuser = {"SUPERUSER_NAME": USERNAME, "SUPERUSER_PASSWORD": PASSWORD}
    check_output(service, sys.executable, PREPARE, **environment, **superuser)


@contextmanager
def served(
    service: Path,
    answers: Answers,
    database_url: str | None,
    redis_url: str | None,
    port: int | None = None,
    **variables: str,
) -> Iterator[Server]:
    """Serve a service with production settings, suppliers and a superuser; yield its server.

    The variables override TEST_TIMEOUTS. Raises AssertionError as `booted` does.
    """
    port = port or free_port()
    environment = production_environment(answers, database_url, redis_url) | TEST_TIMEOUTS | variables
    prepare(service, environment)
    with suppliers() as supplier_urls:
        if answers["use_async_views"]:
            environment.setdefault("SUPPLIER_URLS", supplier_urls)
        command = shlex.split(make_commands(service, "serve", PORT=port)[-1])
        with booted(service, "env", *command, port=port, **environment) as server:
            yield server
