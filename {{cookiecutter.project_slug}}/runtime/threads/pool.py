"""A pool of worker threads, which runs the blocking calls of all requests.

Django makes a thread for each ASGI request that blocks, and ends it with the request. Here a process has a few threads,
keeps them warm, and assigns one to a request only while that makes blocking calls. Work that finds every thread busy
waits in a queue.
"""

import asyncio
import logging
import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from queue import Empty, SimpleQueue

from django.conf import settings

from runtime.conf import conf
from runtime.threads.connections import ConnectionResettingExecutor, close_connections

type Work = Callable[[], None]


logger = logging.getLogger(__name__)


class WorkerPool:
    """A pool of at most `maximum` worker threads, which starts one when work arrives and none is idle.

    While all are busy, work waits in the order of arrival. `spare` idle threads stay; each further one ends after
    `linger` seconds without work, and closes its database connections. All methods may be called from any thread.
    """

    def __init__(self, maximum: int, spare: int = 2, linger: float = 10.0) -> None:
        if maximum < 1:
            raise ValueError(f"A worker pool needs 1 thread or more, not {maximum}.")
        self.maximum = maximum
        self.spare = spare
        self.linger = linger
        # This lock guards all attributes below.
        self.changed = threading.Condition()
        self.workers: set[threading.Thread] = set()
        # The inbox of each idle worker. While a worker is idle, `waiting` is empty.
        self.idle: list[SimpleQueue[Work | None]] = []
        self.waiting: deque[Work] = deque()
        # The number of running calls of `drain`.
        self.draining = 0

    def run(self, work: Work) -> None:
        """Run some work, which must not raise, in one of the threads."""
        with self.changed:
            if self.idle:
                # Wake the thread that was idle for the shortest time, so that the others can end when few are needed.
                self.idle.pop().put(work)
            else:
                self.waiting.append(work)
                if len(self.workers) < self.maximum:
                    self.add_a_worker()

    def add_a_worker(self) -> None:
        """Start one more thread, for the work that was queued last."""
        # A daemon thread whose call hangs does not keep the process alive. `drain` waits for it, up to a timeout.
        worker = threading.Thread(target=self.work, name="worker", daemon=True)
        try:
            worker.start()
        except RuntimeError:
            # The system's limit of threads is reached. A running worker takes the work when it is done with its own.
            if not self.workers:
                self.waiting.pop()
                raise
            logger.warning("Could not start a worker thread; %d are running.", len(self.workers))
        else:
            self.workers.add(worker)

    def work(self) -> None:
        """Run one piece of work after another, until the thread ends."""
        inbox: SimpleQueue[Work | None] = SimpleQueue()
        while True:
            while work := self.next_work(inbox):
                work()
                # Free what the work refers to before the next one arrives.
                del work
            close_connections()
            with self.changed:
                # Work may have arrived since `next_work` returned None.
                if not self.waiting:
                    self.workers.remove(threading.current_thread())
                    self.changed.notify_all()
                    return

    def next_work(self, inbox: SimpleQueue[Work | None]) -> Work | None:
        """Wait for work and return it, or None if the calling thread must end."""
        with self.changed:
            if self.waiting:
                return self.waiting.popleft()
            if self.draining:
                return None
            self.idle.append(inbox)
        while True:
            try:
                return inbox.get(timeout=self.linger)
            except Empty:
                with self.changed:
                    # An inbox that is no longer listed has just been filled, by `run` or by `drain`.
                    if inbox in self.idle and len(self.idle) > self.spare:
                        self.idle.remove(inbox)
                        return None

    def drain(self, timeout: float) -> bool:
        """End each thread when its work is done; return whether all have ended within `timeout` seconds.

        New threads run work that arrives later.
        """
        with self.changed:
            self.draining += 1
            while self.idle:
                self.idle.pop().put(None)
            try:
                return self.changed.wait_for(lambda: not self.workers, timeout)
            finally:
                self.draining -= 1


@cache
def get_worker_pool() -> WorkerPool:
    """Return the process's pool for blocking calls, of at most `settings.MAX_THREADS` threads."""
    return WorkerPool(settings.MAX_THREADS)


@cache
def get_hashing_pool() -> WorkerPool:
    """Return the process's pool for hashing passwords, of at most `settings.HASHING_THREADS` threads."""
    return WorkerPool(settings.HASHING_THREADS)


# A forked process has no threads of its parent, so it needs pools of its own.
os.register_at_fork(after_in_child=get_worker_pool.cache_clear)
os.register_at_fork(after_in_child=get_hashing_pool.cache_clear)


@asynccontextmanager
async def worker_pools() -> AsyncIterator[None]:
    """Drain the worker pools when the server stops (see `runtime.server.lifespan`)."""
    asyncio.get_running_loop().set_default_executor(ConnectionResettingExecutor())
    yield
    pools = (get_worker_pool(), get_hashing_pool())
    if not all(await asyncio.gather(*(asyncio.to_thread(pool.drain, conf.DRAIN_TIMEOUT) for pool in pools))):
        logger.warning(
            "A blocking call has not returned within %s s; the process exits without it.", conf.DRAIN_TIMEOUT
        )
