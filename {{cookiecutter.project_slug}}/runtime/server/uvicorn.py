"""Runs the service on uvicorn with a graceful shutdown (see `runtime.server.shutdown`)."""

import asyncio
import os
import signal
import sys
import time
from socket import socket
from types import FrameType
from typing import Any

import uvicorn
from django.conf import settings
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import multiprocess

from runtime.compat import require
from runtime.conf import conf
from runtime.server.shutdown import get_shutdown_state
from runtime.server.uvicorn_protocol import HeaderLimitProtocol

require(uvicorn.Server, "server_state", "started")
require(multiprocess, "Process")
require(multiprocess.Process, "_server", "config", "process")
require(multiprocess.Multiprocess, "processes", "signal_queue")


class DrainedServer(uvicorn.Server):
    """uvicorn with a graceful shutdown."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Start the shutdown. uvicorn itself would finally raise the signal again, and exit as if killed."""
        state, loop = get_shutdown_state(), asyncio.get_running_loop()
        if self.config.workers > 1 and sig == signal.SIGTERM:
            # The supervisor also sends SIGTERM after SIGINT, which must not count as a second signal.
            loop.call_soon_threadsafe(state.begin)
        else:
            loop.call_soon_threadsafe(state.request, sig == signal.SIGINT or not self.started)

    async def on_tick(self, counter: int) -> bool:
        """Return whether to stop. uvicorn calls this ten times a second. Stalled clients are checked less often."""
        if counter % max(1, int(settings.RESPONSE_WRITE_TIMEOUT)) == 0:
            for connection in list(self.server_state.connections):
                if isinstance(connection, HeaderLimitProtocol):
                    connection.check_progress()
        return await super().on_tick(counter) or get_shutdown_state().stopping.is_set()

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Let requests finish until the deadline."""
        aborting = asyncio.create_task(self.abort_at_deadline())
        await super().shutdown(sockets)
        aborting.cancel()

    async def abort_at_deadline(self) -> None:
        """Abort the connections that remain at the deadline. Their applications receive a disconnect event."""
        await get_shutdown_state().deadline_passed.wait()
        for connection in list(self.server_state.connections):
            connection.transport.abort()


class Worker(multiprocess.Process):
    """A worker process that runs DrainedServer."""

    @property
    def server(self) -> uvicorn.Server:
        """The server of this process."""
        if self._server is None:
            self._server = DrainedServer(self.config)
        return self._server


class Supervisor(multiprocess.Multiprocess):
    """Starts the worker processes and forwards signals to them."""

    def handle_int(self) -> None:
        """Stop the workers without draining."""
        self.interrupt()
        super().handle_int()

    def interrupt(self) -> None:
        """Start the next phase of the shutdown in the workers."""
        for worker in self.processes:
            if worker.pid is not None and worker.process.is_alive():
                os.kill(worker.pid, signal.SIGINT)

    def join_all(self) -> None:
        """Wait until the workers have ended. A further signal starts the next phase of their shutdown."""
        self.signal_queue.clear()
        while any(worker.process.is_alive() for worker in self.processes):
            if self.signal_queue:
                self.signal_queue.clear()
                self.interrupt()
            time.sleep(0.05)
        super().join_all()

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM. Exit with an error if a worker could not start."""
        super().run()
        if any(worker.exitcode == STARTUP_FAILURE for worker in self.processes):
            sys.exit(STARTUP_FAILURE)


# uvicorn has no setting for the class of its worker processes.
multiprocess.Process = Worker  # type: ignore[misc]


def serve(application: str, host: str, port: int, workers: int = 1) -> None:
    """Serve an application (`module:attribute`) until SIGINT or SIGTERM."""
    options: dict[str, Any] = {}
    if "channels" in settings.INSTALLED_APPS:
        options["ws"] = "runtime.server.uvicorn_websocket:WebSocketLimitProtocol"
        # mypy would report `settings.WEBSOCKET_MAX_SIZE`, because services without Channels do not have it.
        options["ws_max_size"] = getattr(settings, "WEBSOCKET_MAX_SIZE", None)
    config = uvicorn.Config(
        application,
        host=host,
        port=port,
        workers=workers,
        lifespan="on",
        http=HeaderLimitProtocol,
        # See runtime/requests/proxies.py. uvicorn itself would trust the headers of every client on this machine.
        proxy_headers=False,
        # uvicorn's messages go through the service's LOGGING.
        log_config=None,
        # After this time, a request that still runs is cancelled and logged as an error.
        timeout_graceful_shutdown=int(settings.SHUTDOWN_GRACE) + conf.CLOSING_TIMEOUT,
        **options,
    )
    if workers > 1:
        Supervisor(config, [config.bind_socket()]).run()
        return
    server = DrainedServer(config)
    server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)
