"""granian: starts it, and drains it before it stops, as `runtime.server.shutdown` describes."""

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

from runtime.asgi import Application, Receive, Scope, Send
from runtime.compat import require
from runtime.conf import conf
from runtime.requests.handler import Handler
from runtime.server.granian_write_timeout import WriteTimeouts
from runtime.server.shutdown import get_shutdown_state

require(MPServer, "_stop_workers", "interrupt_signal", "workers_kill_timeout", "wrks")

# Signal with which the main process has a worker skip draining. A worker without a handler yet ignores it.
SKIP_DRAIN = signal.SIGURG


class DrainedWorker:
    """The application in a worker process of granian, with a graceful shutdown.

    granian sets its handlers of SIGTERM and SIGINT before it opens the lifespan. This class then replaces the one of
    SIGTERM, and blocks SIGINT, which a terminal sends to all processes, until granian itself should stop.
    """

    def __init__(self, application: Application, port: int) -> None:
        self.application = application
        self.port = port

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Run the application; `live` handles the lifespan protocol."""
        return (self.live if scope["type"] == "lifespan" else self.application)(scope, receive, send)

    async def live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the lifespan of the application, and stop granian when the shutdown state says so."""
        state, loop = get_shutdown_state(), asyncio.get_running_loop()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        # The main process also sends SIGTERM after SKIP_DRAIN, which must not count as a second signal.
        loop.add_signal_handler(signal.SIGTERM, state.begin)
        loop.add_signal_handler(SKIP_DRAIN, state.request, True)
        stopping = asyncio.create_task(self.stop_granian())
        watching = asyncio.create_task(WriteTimeouts(self.port).watch())

        async def receive_until_deadline() -> Mapping[str, Any]:
            received, deadline = asyncio.ensure_future(receive()), asyncio.create_task(state.deadline_passed.wait())
            await asyncio.wait({received, deadline}, return_when=asyncio.FIRST_COMPLETED)
            deadline.cancel()
            return received.result() if received.done() else {"type": "lifespan.shutdown"}

        try:
            await self.application(scope, receive_until_deadline, send)
        finally:
            stopping.cancel()
            watching.cancel()
            if state.deadline_passed.is_set():
                # granian would wait forever for the requests that are left.
                logging.shutdown()
                os._exit(0)

    @staticmethod
    async def stop_granian() -> None:
        """Have granian accept no more connections, and end after its last request."""
        state = get_shutdown_state()
        await state.stopping.wait()
        await state.wait_for_listeners()
        os.kill(os.getpid(), signal.SIGINT)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def load(application: str, port: int) -> DrainedWorker:
    """Return the application, named as `module:attribute`, as a worker process runs it."""
    Handler.answers_aborted_bodies = True
    return DrainedWorker(import_string(application.replace(":", ".")), port)


class MainProcess(MPServer):
    """granian's main process, which forwards signals to the workers."""

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Stop the workers; without draining after SIGINT or a second signal."""
        if self.interrupt_signal or args[0] == signal.SIGINT:
            for worker in self.wrks:
                if worker.is_alive():
                    os.kill(worker.inner.pid, SKIP_DRAIN)
        super().signal_handler_interrupt(*args, **kwargs)

    def _stop_workers(self) -> None:
        """Wait for the workers. granian itself would report a worker that has just exited as one that did not."""
        for worker in self.wrks:
            worker.terminate()
        deadline = time.monotonic() + (self.workers_kill_timeout or 0)
        while any(worker.is_alive() for worker in self.wrks) and time.monotonic() < deadline:
            time.sleep(0.05)
        super()._stop_workers()


def serve(application: str, host: str, port: int, workers: int = 1) -> None:
    """Serve an application, named as `module:attribute`, until SIGINT or SIGTERM."""
    MainProcess(
        application,
        address=host,
        port=port,
        workers=workers,
        interface=Interfaces.ASGI,
        log_access=settings.DEBUG,
        # Idle connections count: with a lower limit, few of them would keep other clients out.
        backpressure=10_000,
        # With version detection, granian would wait forever for the first bytes of a connection.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=int(conf.HEADER_TIMEOUT * 1000)),
        # Seconds until a worker that does not end is killed.
        workers_kill_timeout=int(settings.SHUTDOWN_DELAY + settings.SHUTDOWN_GRACE) + conf.CLOSING_TIMEOUT,
        # A worker that dies is replaced; two deaths within seconds end the service.
        respawn_failed_workers=True,
    ).serve(target_loader=partial(load, port=port))
