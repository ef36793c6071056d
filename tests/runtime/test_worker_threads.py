"""The threads that a service lends to its requests: nothing that can happen to one is the end of a thread.

The checks in `worker_threads/` run inside a service, because they import its code. So do the negative controls, which
break that code first.
"""

import shutil
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from devtools.commands import run
from devtools.matrix import all_on
from devtools.rendering import render
from tests.support.effort import effort

CHECKS = Path(__file__).with_name("worker_threads")
# The modules that the negative controls break.
POOL = "runtime/threads/pool.py"
CONNECTIONS = "runtime/threads/connections.py"
MIDDLEWARE = "runtime/threads/middleware.py"
# Connections stay open in their threads, as they do with CONN_MAX_AGE, which is harder than to open one per request.
PERSISTENT = "--ds=worker_threads.persistent_connections"
# Seconds to wait for what a negative control keeps from happening.
LITTLE_PATIENCE = "0.5"


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """Return a service that can check its own lending, on SQLite."""
    return with_checks(render(all_on() | {"use_postgres": False}, tmp_path))


@pytest.fixture
def postgres_service(tmp_path: Path) -> Path:
    """Return a service that can check its own lending, on PostgreSQL."""
    return with_checks(render(all_on(), tmp_path))


def with_checks(service: Path) -> Path:
    """Add the checks to a service."""
    shutil.copytree(CHECKS, service / CHECKS.name, ignore=shutil.ignore_patterns("__pycache__"))
    return service


def check(service: Path, *arguments: str, **environment: str) -> CompletedProcess[str]:
    """Run some of the checks in a service."""
    return run(service, "pytest", "-q", "-p", "no:cacheprovider", *arguments, **environment)


def succeed(result: CompletedProcess[str]) -> None:
    """Check that all the checks that ran have passed, and that some did."""
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_order_of_events(service: Path) -> None:
    succeed(check(service, "worker_threads/stateful.py", EFFORT=str(effort())))


def test_every_point_where_a_request_can_end(service: Path) -> None:
    succeed(check(service, "worker_threads/cancellation.py"))


def test_accidents(service: Path) -> None:
    succeed(check(service, "worker_threads/failures.py"))


def test_answers(service: Path) -> None:
    succeed(check(service, "worker_threads/responses.py"))


def test_the_transaction_of_a_test(service: Path) -> None:
    succeed(check(service, "worker_threads/visibility.py"))


def test_connections_to_sqlite(service: Path) -> None:
    succeed(check(service, "worker_threads/connections.py", PERSISTENT))


def test_connections_to_postgresql(postgres_service: Path, database_url: str) -> None:
    succeed(check(postgres_service, "worker_threads/connections.py", PERSISTENT, DATABASE_URL=database_url))


def test_connections_to_postgresql_from_a_pool(postgres_service: Path, database_url: str) -> None:
    succeed(check(postgres_service, "worker_threads/connections.py", DATABASE_URL=database_url))


@pytest.mark.parametrize(
    ("path", "old", "new", "arguments", "noticed"),
    [
        pytest.param(
            POOL,
            "if not self.waiting:",
            "if True:",
            ["worker_threads/stateful.py"],
            "after calls that came just as threads retired: 0 of",
            id="work that comes as a thread ends is forgotten",
        ),
        pytest.param(
            POOL,
            "self.idle.pop().put(work)",
            "self.waiting.append(work)",
            ["worker_threads/stateful.py"],
            "run that should, and 0 that should not",
            id="a thread that is idle is not woken",
        ),
        pytest.param(
            POOL,
            "self.waiting.popleft()",
            "self.waiting.pop()",
            ["worker_threads/stateful.py"],
            "that should not",
            id="who comes last is served first",
        ),
        pytest.param(
            POOL,
            "len(self.workers) < self.maximum",
            "len(self.workers) <= self.maximum",
            ["worker_threads/stateful.py"],
            "there are too many threads",
            id="there is a thread too many",
        ),
        pytest.param(
            POOL,
            " and len(self.idle) > self.spare",
            "",
            ["worker_threads/failures.py", "-k", "spare"],
            "test_a_spare_thread_stays_however_long_it_is_idle",
            id="no thread is spared",
        ),
        pytest.param(
            MIDDLEWARE,
            "            self.executor.end()\n",
            "            if exception[0] is not asyncio.CancelledError:\n                self.executor.end()\n",
            ["worker_threads/cancellation.py", "-k", "any_application and http-cancelled-running"],
            "TimeoutError",
            id="a request that is cancelled keeps its thread",
        ),
        pytest.param(
            MIDDLEWARE,
            "PerCallExecutor(get_worker_pool())",
            "RequestExecutor(get_worker_pool())",
            ["worker_threads/cancellation.py", "-k", "any_application and websocket-cancelled-running"],
            "TimeoutError",
            id="a socket keeps its thread",
        ),
        pytest.param(
            CONNECTIONS,
            "    reset_queries()\n",
            "    return\n",
            ["worker_threads/connections.py", "-k", "disorder", PERSISTENT],
            "test_disorder[http-leave_an_atomic_block_open]",
            id="a transaction is left to the next one",
        ),
        pytest.param(
            CONNECTIONS,
            "connection.close_if_unusable_or_obsolete()",
            "pass",
            ["worker_threads/connections.py", "-k", "too_old", PERSISTENT],
            "test_a_connection_that_is_too_old_is_replaced_before_the_first_query[http]",
            id="connections do not age",
        ),
        pytest.param(
            MIDDLEWARE,
            "def inside_async_to_sync() -> bool:\n",
            "def inside_async_to_sync() -> bool:\n    return False\n",
            ["worker_threads/visibility.py"],
            "test_a_request_sees_what_the_test_created",
            id="a test and its requests have a thread each",
        ),
        pytest.param(
            MIDDLEWARE,
            "        executor.release()\n",
            "        pass\n",
            ["worker_threads/responses.py", "-k", "file-1"],
            "TimeoutError",
            id="no thread is given back early",
        ),
    ],
)
def test_it_is_noticed_if(service: Path, path: str, old: str, new: str, arguments: list[str], noticed: str) -> None:
    source = (service / path).read_text(encoding="utf-8")
    assert source.count(old) == 1
    (service / path).write_text(source.replace(old, new), encoding="utf-8")

    result = check(service, *arguments, PATIENCE=LITTLE_PATIENCE)

    assert result.returncode == 1
    assert noticed in result.stdout


def test_it_is_noticed_if_a_retired_thread_leaves_its_connection_open(
    postgres_service: Path, database_url: str
) -> None:
    source = (postgres_service / CONNECTIONS).read_text(encoding="utf-8")
    kept = "kept = []\n\n\ndef close_connections() -> None:\n    kept.extend(connections.all())\n    return\n"
    broken = source.replace("def close_connections() -> None:\n", kept)
    (postgres_service / CONNECTIONS).write_text(broken, encoding="utf-8")

    # The test's database cannot be dropped, which would be waited for: it goes with its server.
    outlives = ("worker_threads/connections.py", "-k", "outlives", PERSISTENT, "--reuse-db")
    result = check(postgres_service, *outlives, DATABASE_URL=database_url, PATIENCE=LITTLE_PATIENCE)

    assert result.returncode == 1
    assert "retired threads close their connections" in result.stdout
