"""`manage.py runserver` in development: on each server, with what it starts, reloads and stops."""

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

# A resource of the service's own, which `resources` of the application names.
RESOURCE = """from contextlib import asynccontextmanager

@asynccontextmanager
async def noted():
    print("opened", flush=True)
    yield
    print("closed", flush=True)
"""
# A view that does what nothing on the event loop must.
BLOCKING = """

import time

quick = home

async def blocking(request: HttpRequest) -> HttpResponse:
    time.sleep(3)
    return await quick(request)

home = blocking
"""


def wait_for(what: Callable[[], bool], seconds: float = TIMEOUT) -> None:
    """Return once something is so; fail if it is not within some seconds."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def shows(url: str, text: str) -> bool:
    """Tell whether a page answers, and with a text in it."""
    try:
        return text in poll(url)[1]
    except (OSError, HTTPException):
        return False


def test_everything_works_out_of_the_box(accessible_directory: Path, server_name: str) -> None:
    answers = all_on(server_name)
    service = render(answers, accessible_directory)
    pages = service / "catalog" / "pages.py"
    original = pages.read_text(encoding="utf-8")
    (service / "config" / "noted.py").write_text(RESOURCE, encoding="utf-8")
    # A busy machine may stop the server for longer than the default, and this is no test of the watchdog.
    configure(service, RUNTIME_BLOCKED_LOOP_LIMIT=TIMEOUT)
    break_source(service, "config/asgi.py", "resources=[", 'resources=["config.noted.noted", ')
    check_output(service, "python", "manage.py", "migrate")
    assert not (service / ".postgres" / "postmaster.pid").exists(), "PostgreSQL stops with its last user"

    port = free_port()
    with booted(service, "python", "manage.py", "runserver", str(port), port=port) as server:
        ready = httpx.get(f"{server.url}/health/ready", timeout=TIMEOUT).json()
        assert ready == {"status": "ok", "dependencies": {"database": "ok", "channel_layer": "ok"}}
        assert httpx.get(f"{server.url}/static/catalog/style.css", timeout=TIMEOUT).status_code == 200
        check_ping(server.url)
        assert (service / ".postgres" / "postmaster.pid").exists()

        pages.write_text(original.replace("settings.PROJECT_NAME", "'Changed'"), encoding="utf-8")
        wait_for(lambda: shows(server.url, "<h1>Changed</h1>"))
        assert server.log.count("closed") == 1, "what was open closes before it opens again"
        pages.write_text(original + "\n)", encoding="utf-8")
        wait_for(lambda: "SyntaxError" in server.log)
        pages.write_text(original, encoding="utf-8")
        wait_for(lambda: shows(server.url, "<h1>Async Django Service</h1>"))

        # What a developer has been shown, and has mended.
        mistake = server.log[: server.log.rindex("SyntaxError") + len("SyntaxError: unmatched ')'")]
        server.expected_log.append(mistake[mistake.rindex("Traceback") :])
    assert server.log.count("opened") == server.log.count("closed") == 3
    assert not (service / ".postgres" / "postmaster.pid").exists()


def test_code_that_blocks_the_event_loop_is_named(tmp_path: Path, server_name: str) -> None:
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
def test_an_interrupt_stops_it_politely(tmp_path: Path, server_name: str, sent_to: str) -> None:
    service = render(all_off(server_name), tmp_path)
    # A server that does not stop is not killed in time to pass.
    configure(service, RUNTIME_STOP_TIMEOUT=2 * TIMEOUT)
    check_output(service, "python", "manage.py", "migrate")

    port = free_port()
    with booted(service, "python", "manage.py", "runserver", str(port), port=port) as server:
        send = os.killpg if "group" in sent_to else os.kill
        # granian says so when the signal reaches its worker first.
        server.expected_log.append("[ERROR] Unexpected exit from worker-1")
        send(server.process.pid, signal.SIGINT)
        assert server.process.wait(timeout=TIMEOUT) == 0


def test_a_taken_port_is_refused_in_a_line(tmp_path: Path, server_name: str) -> None:
    service = render(all_off(server_name), tmp_path)

    port = free_port()
    with booted(service, "python", "manage.py", "runserver", "--noreload", "--skip-checks", str(port), port=port):
        second = run(service, "python", "manage.py", "runserver", str(port))
    assert second.returncode == 1
    [line] = second.stderr.splitlines()
    assert f"Cannot listen at 127.0.0.1:{port}" in line
