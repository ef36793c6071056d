"""Runs the service on granian with a graceful shutdown (see `runtime.server.shutdown`)."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Awaitable, Mapping
from functools import partial
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.mp import MPServer

from runtime.asgi import ASGIApp, Receive, Scope, Send
from runtime.compat import require
from runtime.conf import conf
from runtime.requests.handler import Handler
from runtime.server.granian_write_timeout import WriteTimeouts
from runtime.server.shutdown import get_shutdown_state

require(MPServer, "_stop_workers", "interrupt_signal", "workers_kill_timeout", "wrks")

# The main process sends this signal to make a worker skip draining. A worker without a handler ignores it.
SKIP_DRAIN = signal.SIGURG


class GracefulShutdownMiddleware:
    """Adds a graceful shutdown to the application in a worker process of granian.

    granian sets its handlers of SIGTERM and SIGINT before it opens the lifespan. This class then replaces the handler
    of SIGTERM, and blocks SIGINT until granian should stop. A terminal sends SIGINT to all processes.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self.app = app
        self.port = port

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Call the application. `run_lifespan` handles the lifespan protocol."""
        return (self.run_lifespan if scope["type"] == "lifespan" else self.app)(scope, receive, send)

    async def run_lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the lifespan of the application, and stop granian when the shutdown reaches its phase "stopping"."""
        state, loop = get_shutdown_state(), asyncio.get_running_loop()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        # The main process also sends SIGTERM after SKIP_DRAIN, which must not count as a second signal.
        loop.add_signal_handler(signal.SIGTERM, state.begin)
        loop.add_signal_handler(SKIP_DRAIN, state.request, True)
        stopping = asyncio.create_task(self.stop_granian())
        write_timeouts = asyncio.create_task(WriteTimeouts(self.port).watch())

        async def receive_until_deadline() -> Mapping[str, Any]:
            received, deadline = asyncio.ensure_future(receive()), asyncio.create_task(state.deadline_passed.wait())
            await asyncio.wait({received, deadline}, return_when=asyncio.FIRST_COMPLETED)
            deadline.cancel()
            return received.result() if received.done() else {"type": "lifespan.shutdown"}

        try:
            await self.app(scope, receive_until_deadline, send)
        finally:
            stopping.cancel()
            write_timeouts.cancel()
            if state.deadline_passed.is_set():
                # granian would wait forever for the remaining requests.
                logging.shutdown()
                os._exit(0)

    @staticmethod
    async def stop_granian() -> None:
        """Make granian close its listening sockets and end after its last request."""
        state = get_shutdown_state()
        await state.stopping.wait()
        await state.wait_for_listeners()
        os.kill(os.getpid(), signal.SIGINT)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def load(application: str, port: int) -> GracefulShutdownMiddleware:
    """Return the application (`module:attribute`) for a worker process."""
    Handler.rejects_aborted_bodies = True
    return GracefulShutdownMiddleware(import_string(application.replace(":", ".")), port)


class MainProcess(MPServer):
    """granian's main process, which forwards signals to the workers."""

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Stop the workers. SIGINT and a second signal skip the draining."""
        if self.interrupt_signal or args[0] == signal.SIGINT:
            for worker in self.wrks:
                if worker.is_alive():
                    os.kill(worker.inner.pid, SKIP_DRAIN)
        super().signal_handler_interrupt(*args, **kwargs)

    def _stop_workers(self) -> None:
        """Wait for the workers. granian itself may report that a worker did not exit although it just has."""
        for worker in self.wrks:
            worker.terminate()
        deadline = time.monotonic() + (self.workers_kill_timeout or 0)
        while any(worker.is_alive() for worker in self.wrks) and time.monotonic() < deadline:
            time.sleep(0.05)
        super()._stop_workers()


def serve(application: str, host: str, port: int, workers: int = 1) -> None:
    """Serve an application (`module:attribute`) until SIGINT or SIGTERM."""
    MainProcess(
        application,
        address=host,
        port=port,
        workers=workers,
        interface=Interfaces.ASGI,
        log_access=settings.DEBUG,
        # The limit counts idle connections. With a low limit, a few idle clients would keep other clients out.
        backpressure=10_000,
        # With version detection, granian would wait forever for the first bytes of a connection.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=int(conf.HEADER_TIMEOUT * 1000)),
        # seconds before a worker that does not end is killed
        workers_kill_timeout=int(settings.SHUTDOWN_DELAY + settings.SHUTDOWN_GRACE) + conf.CLOSING_TIMEOUT,
        # granian replaces a worker that dies. Two deaths within seconds end the service.
        respawn_failed_workers=True,
    ).serve(target_loader=partial(load, port=port))
