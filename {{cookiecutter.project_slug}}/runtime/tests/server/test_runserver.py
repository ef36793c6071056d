"""`manage.py runserver`: where it listens, what makes it reload, and that it stops what it started."""

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
# Notes that it has started and that it was asked to stop.
CHILD = """
import pathlib, signal, sys, time
notes = pathlib.Path(sys.argv[1])
def stop(*_):
    notes.open("a").write("stopped ")
    sys.exit()
signal.signal(signal.SIGTERM, stop)
notes.open("a").write("started ")
time.sleep(60)
"""


def wait_for(file: Path, text: str) -> None:
    """Wait until a file holds a text; fail after 10 seconds."""
    deadline = time.monotonic() + 10
    while not file.exists() or file.read_text() != text:
        assert time.monotonic() < deadline, file.exists() and file.read_text()
        time.sleep(0.02)


def test_a_taken_port_is_refused_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=rf"Cannot listen at 127\.0\.0\.1:{port}: .+ Use another port"):
            call_command("runserver", f"127.0.0.1:{port}")


def test_a_port_that_cannot_be_is_refused_in_one_line() -> None:
    with pytest.raises(CommandError, match=r"Cannot listen at 127\.0\.0\.1:70000"):
        call_command("runserver", "127.0.0.1:70000")


@pytest.mark.django_db
def test_serves_the_application() -> None:
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        with mock.patch(f"{COMMAND}.serve") as serve:
            call_command("runserver", "127.0.0.1:0", use_reloader=False)
    finally:
        signal.signal(signal.SIGTERM, terminate)

    serve.assert_called_once_with("127.0.0.1", 0)


def test_runs_itself_in_a_child_to_reload() -> None:
    with mock.patch(f"{COMMAND}.run_and_reload") as run_and_reload:
        call_command("runserver", "127.0.0.1:0")

    [command, _], _ = run_and_reload.call_args
    assert command[0] == sys.executable
    assert command[-1] == "--noreload"


def test_a_change_restarts_the_child_and_a_signal_stops_it(tmp_path: Path) -> None:
    notes, code = tmp_path / "notes", tmp_path / "code.py"
    code.touch()

    def change_then_terminate() -> None:
        try:
            wait_for(notes, "started ")
            time.sleep(0.2)  # the watcher needs a moment
            code.write_text("changed = True")
            wait_for(notes, "started stopped started ")
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    terminate = signal.getsignal(signal.SIGTERM)
    developer = threading.Thread(target=change_then_terminate)
    developer.start()
    try:
        runserver.run_and_reload([sys.executable, "-c", CHILD, str(notes)], tmp_path)
    finally:
        signal.signal(signal.SIGTERM, terminate)
        developer.join()

    assert notes.read_text() == "started stopped started stopped "


def test_watches_the_code_and_nothing_hidden(tmp_path: Path) -> None:
    for name in (".env", ".git", ".venv", "catalog", "manage.py"):
        (tmp_path / name).touch()

    assert {path.name for path in runserver.watched_paths(tmp_path)} == {".env", "catalog", "manage.py"}
    assert runserver.is_code(None, "/service/catalog/views.py")
    assert runserver.is_code(None, "/service/.env")
    assert not runserver.is_code(None, "/service/db.sqlite3")
