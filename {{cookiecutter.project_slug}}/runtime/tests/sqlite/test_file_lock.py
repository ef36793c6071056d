"""The lock around migrations of an SQLite database. `make faults` of the template tries it with several processes."""

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


def test_the_file_names_its_holder_and_goes_away(database: DatabaseWrapper, tmp_path: Path) -> None:
    with file_lock(database, pytest.fail):
        [path] = tmp_path.iterdir()
        assert path.read_text().startswith("process ")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    assert not list(tmp_path.iterdir())


def test_a_process_waits_for_another_and_reports_it_once(database: DatabaseWrapper, tmp_path: Path) -> None:
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
    # A lock belongs to an open file, so that two threads exclude each other as two processes do.
    with path.open("w") as held:
        held.write("process 7 on web-2")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting.start()
        assert reported.wait(TIMEOUT)
        assert not locked.is_set()
        # The holder removes the file: the waiting process has to lock a new one.
        path.unlink()
    waiting.join(TIMEOUT)

    assert locked.is_set()
    assert reports == ["process 7 on web-2"]


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    database = DatabaseWrapper({"NAME": tmp_path / "missing" / "db.sqlite3"}, "other")

    with pytest.raises(CommandError, match=r"missing/db\.sqlite3-migrate.*No such file"):
        file_lock(database, pytest.fail).__enter__()


def test_a_database_in_memory_needs_no_lock() -> None:
    with file_lock(DatabaseWrapper({"NAME": ":memory:"}, "other"), pytest.fail):
        pass
