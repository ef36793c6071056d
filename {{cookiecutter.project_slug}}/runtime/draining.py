"""How a server process ends: it is drained, then it stops, and in the end it cuts off what is left.

    serving ── SIGTERM ──▶ draining ── SHUTDOWN_DELAY ──▶ stopping ── SHUTDOWN_GRACE ──▶ over

While it is *draining*, /health/ready answers 503, so that a balancer sends new requests elsewhere; those that come all
the same are served, and each response has its client open a new connection for the next one. When it is *stopping*, it
takes no more connections, and what might never end is told to. Requests finish; those that have not when it is *over*
are cut off. SIGINT (Ctrl-C) skips the delay, and another signal goes on to what is next at once.

`runtime.server` makes the server keep to this.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from weakref import WeakKeyDictionary

from django.conf import settings

# Seconds in which another signal is but an echo: a terminal sends it to all processes, and the main one passes it on.
ECHO = 1.0
# Seconds in which those have ended who were told to.
TOLD_TIMEOUT = 5.0


class Stop:
    """How far the process of an event loop is on its way to its end."""

    def __init__(self) -> None:
        self.draining = asyncio.Event()
        self.stopping = asyncio.Event()
        self.over = asyncio.Event()
        # When a signal came, other than an echo.
        self.asked = 0.0
        # What tells those who would not end of themselves.
        self.listeners: set[Callable[[], None]] = set()

    def begin(self) -> None:
        """Begin to drain, unless it has begun."""
        if not self.draining.is_set():
            self.draining.set()
            loop = asyncio.get_running_loop()
            self.asked = loop.time()
            loop.call_later(settings.SHUTDOWN_DELAY, self.stop)

    def ask(self, hurry: bool = False) -> None:
        """Begin to drain, as SIGTERM asks, or to stop, in a hurry. If it has begun already, go on to what is next."""
        self.begin()
        now = asyncio.get_running_loop().time()
        if now - self.asked > ECHO:
            self.asked = now
            if self.stopping.is_set():
                self.over.set()
            hurry = True
        if hurry:
            self.stop()

    def stop(self) -> None:
        """Tell everybody, unless they have been told."""
        if self.stopping.is_set():
            return
        self.stopping.set()
        asyncio.get_running_loop().call_later(settings.SHUTDOWN_GRACE, self.over.set)
        for listener in list(self.listeners):
            listener()

    @contextmanager
    def told(self, listener: Callable[[], None]) -> Iterator[None]:
        """Have a function called if the process stops before the code inside has ended, which it then should."""
        self.listeners.add(listener)
        try:
            if self.stopping.is_set():
                listener()
            yield
        finally:
            self.listeners.discard(listener)

    async def nobody_left_to_tell(self) -> None:
        """Wait until everybody who was told has ended, for a few seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TOLD_TIMEOUT):
                while self.listeners and not self.over.is_set():  # noqa: ASYNC110 (for a moment, once in a life)
                    await asyncio.sleep(0.05)


_stops: WeakKeyDictionary[asyncio.AbstractEventLoop, Stop] = WeakKeyDictionary()


def get_stop() -> Stop:
    """Return how far the process of the running event loop is."""
    loop = asyncio.get_running_loop()
    return _stops.get(loop) or _stops.setdefault(loop, Stop())


async def until_stopping[Item](items: AsyncIterator[Item]) -> AsyncIterator[Item]:
    """Yield what an iterator yields that might never end, such as the events of a stream, until the service stops.

        return StreamingHttpResponse(until_stopping(events()))

    The response then ends as it should; whatever the iterator is waiting for at that moment is cancelled.
    """
    stop, loop = get_stop(), asyncio.get_running_loop()
    while not stop.stopping.is_set():
        patience = asyncio.timeout(None)
        try:
            async with patience:
                with stop.told(lambda patience=patience: patience.reschedule(loop.time())):  # type: ignore[misc]
                    item = await anext(items)
        except StopAsyncIteration:
            return
        except TimeoutError:
            if patience.expired():
                return
            raise
        yield item
