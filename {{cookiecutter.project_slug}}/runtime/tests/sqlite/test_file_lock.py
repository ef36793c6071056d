"""The migration lock of an SQLite database. `make faults` of the template tests it with several processes."""

import fcntl
import stat
import threading
from pathlib import Path

import pytest
from django.core.management.base import CommandError

from runtime.sqlite.base import DatabaseWrapper
from runtime.sqlite.file_lock import file_lock

TIMEOUT = 10  # seconds


@pytest.fixture
def database(tmp_path: Path) -> DatabaseWrapper:
    return DatabaseWrapper({"NAME": tmp_path / "db.sqlite3"}, "other")


def test_file_lock_writes_its_holder_and_removes_the_file(database: DatabaseWrapper, tmp_path: Path) -> None:
    with file_lock(database, pytest.fail):
        [path] = tmp_path.iterdir()
        assert path.read_text().startswith("process ")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    assert not list(tmp_path.iterdir())


def test_file_lock_held_elsewhere_is_reported_once_and_awaited(database: DatabaseWrapper, tmp_path: Path) -> None:
    path = tmp_path / "db.sqlite3-migrate"
    reports: list[str] = []
    reported, locked = threading.Event(), threading.Event()

    def report(holder: str) -> None:
        reports.append(holder)
        reported.set()

    def wait() -> None:
        with file_lock(database, report):
            locked.set()

    waiting = threading.Thread(target=wait)
    # The lock belongs to an open file, so that two threads exclude each other like two processes.
    with path.open("w") as held:
        held.write("process 7 on web-2")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting.start()
        assert reported.wait(TIMEOUT)
        assert not locked.is_set()
        # The holder removes the file, so that the waiting process has to lock a new one.
        path.unlink()
    waiting.join(TIMEOUT)

    assert locked.is_set()
    assert reports == ["process 7 on web-2"]


def test_file_lock_in_a_missing_folder_raises_and_names_the_file(tmp_path: Path) -> None:
    database = DatabaseWrapper({"NAME": tmp_path / "missing" / "db.sqlite3"}, "other")

    with pytest.raises(CommandError, match=r"missing/db\.sqlite3-migrate.*No such file"):
        file_lock(database, pytest.fail).__enter__()


def test_file_lock_accepts_a_database_in_memory() -> None:
    with file_lock(DatabaseWrapper({"NAME": ":memory:"}, "other"), pytest.fail):
        pass
