"""In development: who blocks the event loop, and with it every other request."""

import asyncio
import logging
import sys
import threading
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import FrameType

from django.conf import settings

from runtime.conf import conf

logger = logging.getLogger(__name__)


@asynccontextmanager
async def watched_loop() -> AsyncIterator[None]:
    """With DEBUG, log the stack of code that blocks the event loop (see `runtime.server.lifespan`).

    asyncio's own debug mode tells it afterwards, and only which task it was; other event loops do not tell it at all.
    """
    if not settings.DEBUG:
        yield
        return
    watchdog = Watchdog(asyncio.get_running_loop())
    watchdog.start()
    try:
        yield
    finally:
        watchdog.stopped.set()


class Watchdog(threading.Thread):
    """Asks the running event loop of the thread that makes it, from a thread of its own, whether it still answers."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(name="watchdog", daemon=True)
        self.loop = loop
        self.loop_thread = threading.get_ident()
        # What has called the event loop is always there, and all that is there while it waits.
        self.below = {frame for frame, _ in traceback.walk_stack(sys._getframe())}
        self.stopped = threading.Event()

    def run(self) -> None:
        """Ask again and again until stopped."""
        while not self.stopped.wait(conf.BLOCKED_LOOP_INTERVAL):
            answered = threading.Event()
            try:
                self.loop.call_soon_threadsafe(answered.set)
            except RuntimeError:  # it is closed
                return
            if not answered.wait(conf.BLOCKED_LOOP_LIMIT):
                self.report(sys._current_frames()[self.loop_thread])
                while not answered.wait(conf.BLOCKED_LOOP_INTERVAL) and not self.stopped.is_set():
                    # Once is enough.
                    pass

    def report(self, frame: FrameType) -> None:
        """Log what the thread of the event loop is doing, unless it only waits: for a busy machine, then."""
        if frame in self.below or frame.f_globals.get("__name__") == "selectors":
            return
        stack = "".join(traceback.format_list(traceback.extract_stack(frame)[-conf.BLOCKED_LOOP_DEPTH :])).rstrip()
        logger.warning("The event loop has been blocked for %d ms:\n%s", conf.BLOCKED_LOOP_LIMIT * 1000, stack)
