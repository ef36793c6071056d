"""`manage.py runserver` in development on each server: what it starts, reloads and stops."""

import os
import signal
import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

import httpx
import pytest

from devtools.commands import TIMEOUT, check_output, run
from devtools.matrix import SERVERS, all_off, all_on
from devtools.ports import free_port
from devtools.rendering import break_source, configure, render
from devtools.servers import booted, poll
from tests.support.contract import check_ping

pytestmark = pytest.mark.parametrize("server_name", SERVERS)

# A resource that a developer adds to `resources` of the application.
RESOURCE = """from contextlib import asynccontextmanager

@asynccontextmanager
async def resource():
    print("opened", flush=True)
    yield
    print("closed", flush=True)
"""
# A view that blocks the event loop.
BLOCKING = """

import time

quick = home

async def blocking(request: HttpRequest) -> HttpResponse:
    time.sleep(3)
    return await quick(request)

home = blocking
"""


def wait_for(condition: Callable[[], bool], seconds: float = TIMEOUT) -> None:
    """Wait until a condition holds. Raises AssertionError after some seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, condition
        time.sleep(0.05)


def shows(url: str, text: str) -> bool:
    """Return whether a page can be requested and has a text in it."""
    try:
        return text in poll(url)[1]
    except (OSError, HTTPException):
        return False


def test_runserver_starts_dependencies_reloads_and_stops_without_configuration(
    accessible_directory: Path, server_name: str
) -> None:
    answers = all_on(server_name)
    service = render(answers, accessible_directory)
    pages = service / "catalog" / "pages.py"
    original = pages.read_text(encoding="utf-8")
    (service / "config" / "logged.py").write_text(RESOURCE, encoding="utf-8")
    # A busy machine may stop the server for longer than the default, and this test is not about the watchdog.
    configure(service, RUNTIME_BLOCKED_LOOP_LIMIT=TIMEOUT)
    break_source(service, "config/asgi.py", "resources=[", 'resources=["config.logged.resource", ')
    check_output(service, "python", "manage.py", "migrate")
    assert not (service / ".postgres" / "postmaster.pid").exists(), "PostgreSQL runs after the command that started it"

    port = free_port()
    with booted(service, "python", "manage.py", "runserver", str(port), port=port) as server:
        ready = httpx.get(f"{server.url}/health/ready", timeout=TIMEOUT).json()
        assert ready == {"status": "ok", "dependencies": {"database": "ok", "channel_layer": "ok"}}
        assert httpx.get(f"{server.url}/static/catalog/style.css", timeout=TIMEOUT).status_code == 200
        check_ping(server.url)
        assert (service / ".postgres" / "postmaster.pid").exists()

        pages.write_text(original.replace("settings.PROJECT_NAME", "'Changed'"), encoding="utf-8")
        wait_for(lambda: shows(server.url, "<h1>Changed</h1>"))
        assert server.log.count("closed") == 1, "the reload has not closed the resource once"
        pages.write_text(original + "\n)", encoding="utf-8")
        wait_for(lambda: "SyntaxError" in server.log)
        pages.write_text(original, encoding="utf-8")
        wait_for(lambda: shows(server.url, "<h1>Async Django Service</h1>"))

        # The traceback of the syntax error is expected.
        mistake = server.log[: server.log.rindex("SyntaxError") + len("SyntaxError: unmatched ')'")]
        server.expected_log.append(mistake[mistake.rindex("Traceback") :])
    assert server.log.count("opened") == server.log.count("closed") == 3
    assert not (service / ".postgres" / "postmaster.pid").exists()


def test_runserver_logs_code_that_blocks_the_event_loop(tmp_path: Path, server_name: str) -> None:
    service = render(all_off(server_name), tmp_path)
    pages = service / "catalog" / "pages.py"
    pages.write_text(pages.read_text(encoding="utf-8") + BLOCKING, encoding="utf-8")
    configure(service, RUNTIME_BLOCKED_LOOP_LIMIT=1.0)
    check_output(service, "python", "manage.py", "migrate")

    port = free_port()
    with booted(service, "python", "manage.py", "runserver", "--noreload", str(port), port=port) as server:
        assert httpx.get(f"{server.url}/health/live", timeout=TIMEOUT).status_code == 200
        assert "blocked" not in server.log
        assert httpx.get(server.url, timeout=TIMEOUT).status_code == 200
        assert server.log.count("The event loop has been blocked for 1000 ms") == 1
        assert "in blocking\n    time.sleep(3)" in server.log
        server.expected_log += [line for line in server.log.splitlines() if "has been blocked" in line]


@pytest.mark.parametrize("sent_to", ["the group, by a terminal", "the command alone, by a supervisor"])
def test_runserver_exits_without_an_error_on_sigint(tmp_path: Path, server_name: str, sent_to: str) -> None:
    service = render(all_off(server_name), tmp_path)
    # A server that ignores the signal is killed only after this test has failed.
    configure(service, RUNTIME_STOP_TIMEOUT=2 * TIMEOUT)
    check_output(service, "python", "manage.py", "migrate")

    port = free_port()
    with booted(service, "python", "manage.py", "runserver", str(port), port=port) as server:
        send = os.killpg if "group" in sent_to else os.kill
        # granian logs this line when the signal reaches its worker first.
        server.expected_log.append("[ERROR] Unexpected exit from worker-1")
        send(server.process.pid, signal.SIGINT)
        assert server.process.wait(timeout=TIMEOUT) == 0


def test_runserver_reports_a_taken_port_in_one_line(tmp_path: Path, server_name: str) -> None:
    service = render(all_off(server_name), tmp_path)

    port = free_port()
    with booted(service, "python", "manage.py", "runserver", "--noreload", "--skip-checks", str(port), port=port):
        second = run(service, "python", "manage.py", "runserver", str(port))
    assert second.returncode == 1
    [line] = second.stderr.splitlines()
    assert f"Cannot listen at 127.0.0.1:{port}" in line
