"""The files of an SQLite database: their modes, and databases without a file."""

import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from runtime.sqlite.base import DatabaseWrapper, database_file


@pytest.fixture(autouse=True)
def permissive_umask() -> Iterator[None]:
    """Let all users read and write new files by default."""
    before = os.umask(0)
    yield
    os.umask(before)


def write(name: str) -> dict[str, int]:
    """Write to a database. Return the modes of its open files, by their names."""
    wrapper = DatabaseWrapper({**connection.settings_dict, "NAME": name}, "other")
    with closing(wrapper.get_new_connection(wrapper.get_connection_params())) as opened:
        opened.execute("CREATE TABLE written (id INTEGER)")
        file = database_file(name)
        return {} if file is None else {path.name: mode(path) for path in file.parent.glob(f"{file.name}*")}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("name", ["{}/new.sqlite3", "file:{}/new.sqlite3", "file://{}/new.sqlite3?cache=private"])
def test_new_database_has_mode_0600(name: str, tmp_path: Path) -> None:
    assert write(name.format(tmp_path)) == {"new.sqlite3": 0o600, "new.sqlite3-shm": 0o600, "new.sqlite3-wal": 0o600}


def test_new_database_behind_a_symbolic_link_has_mode_0600(tmp_path: Path) -> None:
    (tmp_path / "link.sqlite3").symlink_to(tmp_path / "target.sqlite3")

    write(f"{tmp_path}/link.sqlite3")

    assert mode(tmp_path / "target.sqlite3") == 0o600


def test_existing_database_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "shared.sqlite3").touch(mode=0o660)

    assert set(write(f"{tmp_path}/shared.sqlite3").values()) == {0o660}


@pytest.mark.parametrize(
    "name", [":memory:", "file::memory:", "file:shared?mode=memory&cache=shared", "file:/shared?vfs=memdb"]
)
def test_database_in_memory_creates_no_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    write(name)

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", ["ro", "rw"])
def test_database_file_is_none_for_a_mode_that_creates_no_file(mode: str, tmp_path: Path) -> None:
    assert database_file(f"file:{tmp_path}/missing.sqlite3?mode={mode}") is None


def test_service_uses_the_backend(settings: Any) -> None:
    assert settings.DATABASES["default"]["ENGINE"] == "runtime.sqlite"
