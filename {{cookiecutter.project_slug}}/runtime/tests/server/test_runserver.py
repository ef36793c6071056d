"""`manage.py runserver`: its address, its reloader, and the end of its child process."""

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from unittest import mock

import pytest
from django.core.management import CommandError, call_command

from runtime.management.commands import runserver

COMMAND = "runtime.management.commands.runserver"
# A child process that appends to a file when it starts and when it gets SIGTERM.
CHILD = """
import pathlib, signal, sys, time
record = pathlib.Path(sys.argv[1])
def stop(*_):
    record.open("a").write("stopped ")
    sys.exit()
signal.signal(signal.SIGTERM, stop)
record.open("a").write("started ")
time.sleep(60)
"""


def wait_for(file: Path, text: str) -> None:
    """Wait until a file has exactly this text. Fail after 10 seconds."""
    deadline = time.monotonic() + 10
    while not file.exists() or file.read_text() != text:
        assert time.monotonic() < deadline, file.exists() and file.read_text()
        time.sleep(0.02)


def test_runserver_at_a_taken_port_raises_command_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=rf"Cannot listen at 127\.0\.0\.1:{port}: .+ Use another port"):
            call_command("runserver", f"127.0.0.1:{port}")


def test_runserver_at_an_invalid_port_raises_command_error() -> None:
    with pytest.raises(CommandError, match=r"Cannot listen at 127\.0\.0\.1:70000"):
        call_command("runserver", "127.0.0.1:70000")


@pytest.mark.django_db
def test_runserver_without_reloader_serves_in_its_own_process() -> None:
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        with mock.patch(f"{COMMAND}.serve") as serve:
            call_command("runserver", "127.0.0.1:0", use_reloader=False)
    finally:
        signal.signal(signal.SIGTERM, terminate)

    serve.assert_called_once_with("127.0.0.1", 0)


def test_runserver_with_reloader_serves_in_a_child_process() -> None:
    with mock.patch(f"{COMMAND}.run_and_reload") as run_and_reload:
        call_command("runserver", "127.0.0.1:0")

    [command, _], _ = run_and_reload.call_args
    assert command[0] == sys.executable
    assert command[-1] == "--noreload"


def test_run_and_reload_restarts_the_child_at_a_change_and_stops_it_at_a_signal(tmp_path: Path) -> None:
    record, code = tmp_path / "record", tmp_path / "code.py"
    code.touch()

    def change_then_terminate() -> None:
        try:
            wait_for(record, "started ")
            time.sleep(0.2)  # seconds until the watcher has started
            code.write_text("changed = True")
            wait_for(record, "started stopped started ")
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    terminate = signal.getsignal(signal.SIGTERM)
    developer = threading.Thread(target=change_then_terminate)
    developer.start()
    try:
        runserver.run_and_reload([sys.executable, "-c", CHILD, str(record)], tmp_path)
    finally:
        signal.signal(signal.SIGTERM, terminate)
        developer.join()

    assert record.read_text() == "started stopped started stopped "


def test_watched_paths_have_no_hidden_files_except_env(tmp_path: Path) -> None:
    for name in (".env", ".git", ".venv", "catalog", "manage.py"):
        (tmp_path / name).touch()

    assert {path.name for path in runserver.watched_paths(tmp_path)} == {".env", "catalog", "manage.py"}


def test_is_code_selects_the_files_that_require_a_restart() -> None:
    assert runserver.is_code(None, "/service/catalog/views.py")
    assert runserver.is_code(None, "/service/.env")
    assert not runserver.is_code(None, "/service/db.sqlite3")
