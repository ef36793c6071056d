"""A worker pool of one thread."""

from collections.abc import Iterator

import pytest
from django.test import override_settings

from runtime.tests.threads.calls import SECONDS
from runtime.threads.pool import WorkerPool, get_worker_pool


@pytest.fixture
def one_thread() -> Iterator[WorkerPool]:
    """Limit the worker pool to one thread; yield the pool."""
    get_worker_pool.cache_clear()
    with override_settings(MAX_THREADS=1):
        yield get_worker_pool()
    assert get_worker_pool().drain(SECONDS)
    get_worker_pool.cache_clear()
