"""A rendered service with production settings: prepared as its Makefile prepares it, and booted by its own command."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devtools.browser import PASSWORD, USERNAME
from devtools.commands import TIMEOUT, succeed
from devtools.matrix import Answers
from devtools.ports import free_port
from devtools.servers import Server, booted
from devtools.suppliers import suppliers

PATIENT = {"SHUTDOWN_DELAY": "0", "REQUEST_TIMEOUT": str(TIMEOUT)}
PREPARE = str(Path(__file__).with_name("prepare.py"))


def production(answers: Answers, database_url: str | None, redis_url: str | None) -> dict[str, str]:
    """Return the environment that a combination needs in production, and not a variable more."""
    environment = {"DEBUG": "false", "SECRET_KEY": "only these tests know it, and there are fifty characters of it"}
    if answers["use_postgres"]:
        assert database_url
        environment["DATABASE_URL"] = database_url
    if answers["use_channels"]:
        assert redis_url
        environment["REDIS_URL"] = redis_url
    return environment


def made_by(service: Path, target: str, **variables: object) -> list[str]:
    """Return the commands of a target of the service's Makefile, without `uv run` before them."""
    settings = [f"{name}={value}" for name, value in ({"RUN": ""} | variables).items()]
    return succeed(service, "make", "--dry-run", "--no-print-directory", target, *settings).splitlines()


@contextmanager
def served(
    service: Path,
    answers: Answers,
    database_url: str | None,
    redis_url: str | None,
    port: int | None = None,
    **variables: str,
) -> Iterator[Server]:
    """Hold a service open that runs with production settings, with suppliers to ask and a superuser to log in as.

    Unless the variables say otherwise, it stops without a delay, because no load balancer has to notice, and a
    request may take as long as a busy machine needs.
    """
    port = port or free_port()
    environment = production(answers, database_url, redis_url) | PATIENT | variables
    succeed(
        service,
        sys.executable,
        PREPARE,
        SUPERUSER_NAME=USERNAME,
        SUPERUSER_PASSWORD=PASSWORD,
        **environment,
    )
    with suppliers() as supplier_urls:
        if answers["use_async_views"]:
            environment.setdefault("SUPPLIER_URLS", supplier_urls)
        command = shlex.split(made_by(service, "serve", PORT=port)[-1])
        with booted(service, "env", *command, port=port, **environment) as server:
            yield server
