"""Calls in worker threads."""

from collections.abc import Callable

from runtime.threads.executors import RequestExecutor

# Timeout of everything that a test waits for.
SECONDS = 5.0


def run(executor: RequestExecutor, function: Callable[[], object]) -> object:
    """Return the result of a function that an executor calls."""
    return executor.submit(function).result(SECONDS)
