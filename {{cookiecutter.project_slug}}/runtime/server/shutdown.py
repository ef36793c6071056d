"""The graceful shutdown of a server process, in three phases.

    serving ── SIGTERM ──▶ draining ── SHUTDOWN_DELAY ──▶ stopping ── SHUTDOWN_GRACE ──▶ deadline passed

- *draining*: the readiness probe returns 503, so that the load balancer sends new requests elsewhere. The process still
  handles requests, each with `Connection: close`.
- *stopping*: the process accepts no more connections. Requests finish. WebSockets and endless streams end.
- *deadline passed*: the server aborts the remaining connections.

SIGINT (Ctrl-C) skips draining. Every further signal starts the next phase at once.

The module of the chosen server (`settings.ASGI_SERVER`) makes the server follow these phases.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from weakref import WeakKeyDictionary

from django.conf import settings

from runtime.conf import conf


class ShutdownState:
    """The phase of the graceful shutdown that an event loop's process has reached."""

    def __init__(self) -> None:
        self.draining = asyncio.Event()
        self.stopping = asyncio.Event()
        self.deadline_passed = asyncio.Event()
        # The time of the last signal that was not a duplicate.
        self.requested_at = 0.0
        self.listeners: set[Callable[[], None]] = set()

    def begin(self) -> None:
        """Start draining, unless the process already drains."""
        if not self.draining.is_set():
            self.draining.set()
            loop = asyncio.get_running_loop()
            self.requested_at = loop.time()
            loop.call_later(settings.SHUTDOWN_DELAY, self.stop)

    def request(self, skip_drain: bool = False) -> None:
        """Start the shutdown, or start its next phase unless this is a duplicate signal."""
        self.begin()
        now = asyncio.get_running_loop().time()
        if now - self.requested_at > conf.DUPLICATE_SIGNAL_WINDOW:
            self.requested_at = now
            if self.stopping.is_set():
                self.deadline_passed.set()
            skip_drain = True
        if skip_drain:
            self.stop()

    def stop(self) -> None:
        """Start stopping and call the listeners, unless the process already stops."""
        if self.stopping.is_set():
            return
        self.stopping.set()
        asyncio.get_running_loop().call_later(settings.SHUTDOWN_GRACE, self.deadline_passed.set)
        for listener in list(self.listeners):
            listener()

    @contextmanager
    def notify_on_stop(self, listener: Callable[[], None]) -> Iterator[None]:
        """Call a function if the process starts stopping during the block. The block should then end soon."""
        self.listeners.add(listener)
        try:
            if self.stopping.is_set():
                listener()
            yield
        finally:
            self.listeners.discard(listener)

    async def wait_for_listeners(self) -> None:
        """Wait until all blocks of `notify_on_stop` have ended, for at most LISTENER_TIMEOUT seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(conf.LISTENER_TIMEOUT):
                while self.listeners and not self.deadline_passed.is_set():  # noqa: ASYNC110 (once per process)
                    await asyncio.sleep(0.05)


_states: WeakKeyDictionary[asyncio.AbstractEventLoop, ShutdownState] = WeakKeyDictionary()


def get_shutdown_state() -> ShutdownState:
    """Return the shutdown state of the running event loop."""
    loop = asyncio.get_running_loop()
    return _states.get(loop) or _states.setdefault(loop, ShutdownState())


async def until_stopping[Item](items: AsyncIterator[Item]) -> AsyncIterator[Item]:
    """Yield the items of an endless iterator, such as the events of a stream, until the service stops.

        return StreamingHttpResponse(until_stopping(events()))

    The iterator is cancelled where it waits, and the response ends without an error.
    """
    state, loop = get_shutdown_state(), asyncio.get_running_loop()
    while not state.stopping.is_set():
        timeout = asyncio.timeout(None)
        try:
            async with timeout:
                with state.notify_on_stop(lambda timeout=timeout: timeout.reschedule(loop.time())):  # type: ignore[misc]
                    item = await anext(items)
        except StopAsyncIteration:
            return
        except TimeoutError:
            if timeout.expired():
                return
            raise
        yield item
