"""A test runner for Django's tests in which every call of the ORM waits on the event loop."""

import asyncio
import contextvars
import functools
import json
import os
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any
from unittest import TestResult, TestSuite, mock

import asgiref.sync
from asgiref.sync import ThreadSensitiveContext, async_to_sync
from django.db import connections
from django.test import testcases
from django.test.runner import DiscoverRunner
from runtime.postgres import on_loop
from runtime.postgres.greenlets import LoopGreenlet, current_greenlet, run_in_greenlet
from runtime.postgres.pool import TimeoutConnection, connection_pools
from runtime.threads.executors import run_on_loop

# The number of waits for PostgreSQL on the event loop, and of calls that were submitted to the executor.
COUNTS: Counter[str] = Counter()


def greenlet() -> LoopGreenlet:
    """Return the greenlet in which this code runs."""
    current = current_greenlet()
    assert current is not None
    return current


class GreenletExecutor(Executor):
    """Executes the calls of asynchronous tests in greenlets, even those that a service would execute in a thread.

    A test and its calls share one connection, because Django's TestCase never commits its transaction.
    """

    def submit[**P, R](self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Execute a call as a service does, or in a greenlet where a service would use a thread."""
        future: Any = run_on_loop(function)
        COUNTS["calls on the loop" if future else "calls that need a thread"] += 1
        if future is None:
            # Drop asgiref's arguments for threads. With them, `async_to_sync` would wait for this very thread.
            *_, run, call = function.args  # type: ignore[attr-defined]
            future = run_in_greenlet(functools.partial(on_loop.with_connections, functools.partial(run, call)))
        return future  # type: ignore[no-any-return]


def wait_on_loop[**P, R](test: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, R]:
    """Replace `async_to_sync`: run the asynchronous test on the event loop that is already running."""

    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        async with ThreadSensitiveContext(executor=GreenletExecutor()):  # type: ignore[arg-type, no-untyped-call]
            return await test(*args, **kwargs)

    @functools.wraps(test)
    def wait(*args: P.args, **kwargs: P.kwargs) -> R:
        current = current_greenlet()
        if current is None:
            return async_to_sync(test)(*args, **kwargs)
        COUNTS["asynchronous tests"] += 1
        task = current.loop.create_task(run(*args, **kwargs), context=contextvars.copy_context())
        current.wait_for(task)
        return task.result()

    return wait


class GreenletRunner(DiscoverRunner):
    """Runs all tests in one greenlet, and writes a report with the tests that did not pass."""

    def run_tests(self, test_labels: list[str], **kwargs: Any) -> int:
        """Run the tests on an event loop."""
        return asyncio.run(self.run_on_loop(functools.partial(super().run_tests, test_labels, **kwargs)))

    async def run_on_loop(self, run: Callable[[], int]) -> int:
        """Run the tests in a greenlet."""
        wait_in_greenlet = TimeoutConnection.wait_in_greenlet

        def count(connection: TimeoutConnection, *args: Any) -> Any:
            COUNTS["waits on the loop"] += 1
            return wait_in_greenlet(connection, *args)

        with (
            mock.patch.object(testcases, "async_to_sync", wait_on_loop),
            # Some tests use it as a decorator. Their modules are imported later.
            mock.patch.object(asgiref.sync, "async_to_sync", wait_on_loop),
            mock.patch.object(TimeoutConnection, "wait_in_greenlet", count),
        ):
            async with connection_pools(), on_loop.orm_on_loop():
                return int(await run_in_greenlet(functools.partial(self.run_sharing_connections, run)))  # type: ignore[call-overload]

    def run_sharing_connections(self, run: Callable[[], int]) -> int:
        """Run the tests. The greenlets of their calls share the connections of this greenlet."""
        own = greenlet().connections = on_loop.GreenletConnections()

        def with_own_connections[R](call: Callable[[], R]) -> R:
            greenlet().connections = own
            return call()

        with mock.patch.object(on_loop, "with_connections", with_own_connections):
            try:
                return run()
            finally:
                connections.close_all()

    def suite_result(self, suite: TestSuite, result: TestResult, **kwargs: Any) -> int:
        """Write the report, and return the number of tests that did not pass."""
        problems = {test.id(): text for test, text in [*result.failures, *result.errors]}
        problems |= {test.id(): "passed unexpectedly" for test in result.unexpectedSuccesses}
        report = {"run": result.testsRun, "skipped": len(result.skipped), "problems": problems, "counts": COUNTS}
        Path(os.environ["DJANGO_SUITE_REPORT"]).write_text(json.dumps(report), encoding="utf-8")
        return len(problems)
