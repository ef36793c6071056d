"""The servers' own commands: they run the application too, without what `python -m runtime.server` adds."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from booting import Server, free_port, wait_until_live
from contract import ping
from matrix import all_on
from rendering import ENVIRONMENT, render, succeed
from serving import PREPARE, production

COMMANDS = {
    "uvicorn": ["uvicorn", "config.asgi:application", "--port"],
    "granian": ["granian", "--interface", "asgi", "config.asgi:application", "--port"],
    "daphne": ["daphne", "config.asgi:application", "--port"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_own_command_of_a_server_runs_the_application(
    tmp_path: Path, name: str, database_url: str, redis_url: str
) -> None:
    answers = all_on(name)
    service = render(answers, tmp_path)
    environment = production(answers, database_url, redis_url)
    succeed(service, sys.executable, PREPARE, SUPERUSER_NAME="ada", SUPERUSER_PASSWORD="only a test's", **environment)
    port, log_file = free_port(), service / "server.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [*COMMANDS[name], str(port)],
            cwd=service,
            env=ENVIRONMENT | environment,
            stdout=log,
            stderr=log,
            process_group=0,
        )
    server = Server(f"http://127.0.0.1:{port}", process, log_file)
    try:
        wait_until_live(server)
        assert httpx.get(f"{server.url}/health/live").status_code == 200
        assert httpx.get(server.url).status_code == 200
        ping(server.url)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
