"""Logs code that blocks the event loop in development, because it delays every other request."""

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

    asyncio's debug mode logs only the task, and only afterwards. Other event loops do not log it at all.
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
    """A thread that checks whether the event loop of the current thread still runs callbacks."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(name="watchdog", daemon=True)
        self.loop = loop
        self.loop_thread = threading.get_ident()
        # The callers of the event loop. The stack has no other frames while the loop waits.
        self.idle_frames = {frame for frame, _ in traceback.walk_stack(sys._getframe())}
        self.stopped = threading.Event()

    def run(self) -> None:
        """Check the event loop until stopped. Each blocking call is logged once."""
        while not self.stopped.wait(conf.BLOCKED_LOOP_INTERVAL):
            responded = threading.Event()
            try:
                self.loop.call_soon_threadsafe(responded.set)
            except RuntimeError:  # the loop is closed
                return
            if not responded.wait(conf.BLOCKED_LOOP_LIMIT):
                self.log_stack(sys._current_frames()[self.loop_thread])
                while not responded.wait(conf.BLOCKED_LOOP_INTERVAL) and not self.stopped.is_set():
                    pass

    def log_stack(self, frame: FrameType) -> None:
        """Log the stack of the event loop's thread. An idle loop on a busy machine is not logged."""
        if frame in self.idle_frames or frame.f_globals.get("__name__") == "selectors":
            return
        stack = "".join(traceback.format_list(traceback.extract_stack(frame)[-conf.BLOCKED_LOOP_DEPTH :])).rstrip()
        logger.warning("The event loop has been blocked for %d ms:\n%s", conf.BLOCKED_LOOP_LIMIT * 1000, stack)
