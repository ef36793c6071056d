"""A service's pool of worker threads: no event costs the pool a thread or a request its call.

The checks in `worker_threads/` run inside a service, because they import its code. The negative controls break that
code first and expect a check to fail.
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
# Settings with CONN_MAX_AGE: a connection stays open in its thread, where the next request finds it.
PERSISTENT = "--ds=worker_threads.persistent_connections"
# Seconds that a check waits for an event in a negative control, where the event never happens.
SHORT_TIMEOUT = "0.5"


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """Return a service on SQLite with the checks in it."""
    return with_checks(render(all_on() | {"use_postgres": False}, tmp_path))


@pytest.fixture
def postgres_service(tmp_path: Path) -> Path:
    """Return a service on PostgreSQL with the checks in it."""
    return with_checks(render(all_on(), tmp_path))


def with_checks(service: Path) -> Path:
    """Copy the checks into a service."""
    shutil.copytree(CHECKS, service / CHECKS.name, ignore=shutil.ignore_patterns("__pycache__"))
    return service


def check(service: Path, *arguments: str, **environment: str) -> CompletedProcess[str]:
    """Run some of the checks in a service."""
    return run(service, "pytest", "-q", "-p", "no:cacheprovider", *arguments, **environment)


def expect_success(result: CompletedProcess[str]) -> None:
    """Raise AssertionError with the output unless every check that was collected has passed, and at least one was."""
    assert result.returncode == 0, result.stdout + result.stderr


def test_pool_keeps_to_its_model_in_random_orders_of_events(service: Path) -> None:
    expect_success(check(service, "worker_threads/stateful.py", EFFORT=str(effort())))


def test_request_that_ends_at_any_await_releases_its_thread(service: Path) -> None:
    expect_success(check(service, "worker_threads/cancellation.py"))


def test_pool_survives_rare_failures(service: Path) -> None:
    expect_success(check(service, "worker_threads/failures.py"))


def test_response_holds_a_thread_only_while_it_needs_one(service: Path) -> None:
    expect_success(check(service, "worker_threads/responses.py"))


def test_request_runs_in_the_transaction_of_a_test_case(service: Path) -> None:
    expect_success(check(service, "worker_threads/visibility.py"))


def test_sqlite_connection_is_clean_for_the_next_request(service: Path) -> None:
    expect_success(check(service, "worker_threads/connections.py", PERSISTENT))


def test_postgresql_connection_is_clean_for_the_next_request(postgres_service: Path, database_url: str) -> None:
    expect_success(check(postgres_service, "worker_threads/connections.py", PERSISTENT, DATABASE_URL=database_url))


def test_pooled_postgresql_connection_is_clean_for_the_next_request(postgres_service: Path, database_url: str) -> None:
    expect_success(check(postgres_service, "worker_threads/connections.py", DATABASE_URL=database_url))


@pytest.mark.parametrize(
    ("path", "old", "new", "arguments", "printed"),
    [
        pytest.param(
            POOL,
            "if not self.waiting:",
            "if True:",
            ["worker_threads/stateful.py"],
            "after calls that were submitted as threads retired: ",
            id="retiring thread forgets a call",
        ),
        pytest.param(
            POOL,
            "self.idle.pop().put(work)",
            "self.waiting.append(work)",
            ["worker_threads/stateful.py"],
            "run that should, and 0 that should not",
            id="idle thread is not woken",
        ),
        pytest.param(
            POOL,
            "self.waiting.popleft()",
            "self.waiting.pop()",
            ["worker_threads/stateful.py"],
            "that should not",
            id="newest call is served first",
        ),
        pytest.param(
            POOL,
            "len(self.workers) < self.maximum",
            "len(self.workers) <= self.maximum",
            ["worker_threads/stateful.py"],
            "more threads than the maximum",
            id="one thread too many",
        ),
        pytest.param(
            POOL,
            " and len(self.idle) > self.spare",
            "",
            ["worker_threads/failures.py", "-k", "spare"],
            "test_spare_thread_never_retires",
            id="spare thread retires",
        ),
        pytest.param(
            MIDDLEWARE,
            "            self.executor.end()\n",
            "            if exception[0] is not asyncio.CancelledError:\n                self.executor.end()\n",
            ["worker_threads/cancellation.py", "-k", "application_that_ends and http-cancelled-running"],
            "TimeoutError",
            id="cancelled request keeps its thread",
        ),
        pytest.param(
            MIDDLEWARE,
            "PerCallExecutor(get_worker_pool())",
            "RequestExecutor(get_worker_pool())",
            ["worker_threads/cancellation.py", "-k", "application_that_ends and websocket-cancelled-running"],
            "TimeoutError",
            id="WebSocket keeps its thread",
        ),
        pytest.param(
            CONNECTIONS,
            "    reset_queries()\n",
            "    return\n",
            ["worker_threads/connections.py", "-k", "disorder", PERSISTENT],
            "test_connection_left_in_disorder_is_clean_for_the_next_request[http-leave_an_atomic_block_open]",
            id="transaction is left open for the next request",
        ),
        pytest.param(
            CONNECTIONS,
            "connection.close_if_unusable_or_obsolete()",
            "pass",
            ["worker_threads/connections.py", "-k", "too_old", PERSISTENT],
            "test_connection_that_is_too_old_is_replaced_before_the_first_query[http]",
            id="old connection is not replaced",
        ),
        pytest.param(
            MIDDLEWARE,
            "def inside_async_to_sync() -> bool:\n",
            "def inside_async_to_sync() -> bool:\n    return False\n",
            ["worker_threads/visibility.py"],
            "test_request_sees_rows_that_the_test_created",
            id="request leaves the thread of the test",
        ),
        pytest.param(
            MIDDLEWARE,
            "        executor.release()\n",
            "        pass\n",
            ["worker_threads/responses.py", "-k", "file-1"],
            "TimeoutError",
            id="thread is released only after the response",
        ),
    ],
)
def test_fault_fails_a_check(service: Path, path: str, old: str, new: str, arguments: list[str], printed: str) -> None:
    source = (service / path).read_text(encoding="utf-8")
    assert source.count(old) == 1
    (service / path).write_text(source.replace(old, new), encoding="utf-8")

    result = check(service, *arguments, TIMEOUT=SHORT_TIMEOUT)

    assert result.returncode == 1
    assert printed in result.stdout


def test_retired_thread_that_keeps_its_connection_fails_a_check(postgres_service: Path, database_url: str) -> None:
    source = (postgres_service / CONNECTIONS).read_text(encoding="utf-8")
    kept = "kept = []\n\n\ndef close_connections() -> None:\n    kept.extend(connections.all())\n    return\n"
    broken = source.replace("def close_connections() -> None:\n", kept)
    (postgres_service / CONNECTIONS).write_text(broken, encoding="utf-8")

    # pytest-django could not drop the database under an open connection. The database goes with its server.
    arguments = ("worker_threads/connections.py", "-k", "closes_its_connection", PERSISTENT, "--reuse-db")
    result = check(postgres_service, *arguments, DATABASE_URL=database_url, TIMEOUT=SHORT_TIMEOUT)

    assert result.returncode == 1
    assert "retired threads close their connections" in result.stdout
