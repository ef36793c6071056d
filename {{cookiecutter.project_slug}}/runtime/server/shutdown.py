"""Graceful shutdown: a server process drains, then stops, and finally cuts off what is left.

    serving ── SIGTERM ──▶ draining ── SHUTDOWN_DELAY ──▶ stopping ── SHUTDOWN_GRACE ──▶ deadline passed

- *draining*: the readiness probe answers 503, so that a load balancer sends new requests elsewhere. The process still
  serves requests, each with `Connection: close`.
- *stopping*: the process accepts no more connections. Requests finish; WebSockets and endless streams are told to end.
- *deadline passed*: the server closes the connections that are left.

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
    """The phase in which the process of an event loop is."""

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
        """Start the shutdown. If it has started already, and this is no duplicate signal, start its next phase."""
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
        """Call a function when the process stops while the block runs. The block should then end soon."""
        self.listeners.add(listener)
        try:
            if self.stopping.is_set():
                listener()
            yield
        finally:
            self.listeners.discard(listener)

    async def wait_for_listeners(self) -> None:
        """Wait until the blocks of `notify_on_stop` have ended, LISTENER_TIMEOUT seconds at most."""
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

    The response then ends without an error; the iterator is cancelled where it waits.
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
