"""The servers' own commands: they run the application too, without the additions of `python -m runtime.server`."""

from pathlib import Path

import httpx
import pytest

from devtools.commands import TIMEOUT
from devtools.matrix import all_on
from devtools.ports import free_port
from devtools.production import prepare, production_environment
from devtools.rendering import render
from devtools.servers import started
from tests.support.contract import check_ping

COMMANDS = {
    "uvicorn": ["uvicorn", "config.asgi:application", "--port"],
    "granian": ["granian", "--interface", "asgi", "config.asgi:application", "--port"],
    "daphne": ["daphne", "config.asgi:application", "--port"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_own_command_of_a_server_runs_the_application(
    tmp_path: Path, name: str, database_url: str, redis_url: str
) -> None:
    answers = all_on(name)
    service = render(answers, tmp_path)
    environment = production_environment(answers, database_url, redis_url)
    prepare(service, environment)
    port = free_port()
    with started(service, *COMMANDS[name], str(port), port=port, **environment) as server:
        assert httpx.get(f"{server.url}/health/live", timeout=TIMEOUT).status_code == 200
        assert httpx.get(server.url, timeout=TIMEOUT).status_code == 200
        check_ping(server.url)
