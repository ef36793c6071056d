"""The ASGI server: {{ cookiecutter.asgi_server }}. What it is told, and how it stops: as `runtime.draining` has it.

Production runs `python -m runtime.server`, and `manage.py runserver` calls `serve` below.
"""

import argparse
import asyncio
# {% if cookiecutter.asgi_server == "granian" %}
import logging
# {% endif %}
import os
import signal
# {% if cookiecutter.asgi_server != "granian" %}
import sys
# {% endif %}
# {% if cookiecutter.asgi_server != "daphne" %}
import time
# {% endif %}
# {% if cookiecutter.asgi_server == "granian" %}
from collections.abc import Awaitable, Mapping
from functools import partial
# {% endif %}
# {% if cookiecutter.asgi_server == "uvicorn" %}
from socket import socket
from types import FrameType
# {% endif %}
# {% if cookiecutter.asgi_server != "uvicorn" %}
from typing import Any
# {% endif %}
# {% if cookiecutter.asgi_server == "daphne" %}
from weakref import WeakSet
# {% endif %}

# {% if cookiecutter.asgi_server == "daphne" %}
from daphne.access import AccessLogGenerator
from daphne.endpoints import build_endpoint_description_strings
from daphne.server import reactor, twisted_loop
# {% elif cookiecutter.asgi_server == "uvicorn" %}
import uvicorn
# {% endif %}
from django.conf import settings
from django.utils.log import configure_logging
# {% if cookiecutter.asgi_server != "uvicorn" %}
from django.utils.module_loading import import_string
# {% endif %}
# {% if cookiecutter.asgi_server == "granian" %}
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.mp import MPServer
# {% elif cookiecutter.asgi_server == "uvicorn" %}
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import multiprocess
# {% endif %}

# {% if cookiecutter.asgi_server != "uvicorn" %}
from runtime.asgi import (
    # {% if cookiecutter.asgi_server == "granian" %}
    Application,
    Receive,
    # {% endif %}
    Scope,
    # {% if cookiecutter.asgi_server == "granian" %}
    Send,
    # {% endif %}
)
# {% endif %}
from runtime.draining import get_stop
# {% if cookiecutter.asgi_server == "uvicorn" %}
from runtime.limits import (
    LimitedProtocol,
    # {% if cookiecutter.use_channels %}
    LimitedSocket,
    # {% endif %}
)
# {% elif cookiecutter.asgi_server == "granian" %}
from runtime.limits import HEADER_TIMEOUT, WriteTimeouts
from runtime.requests.handler import Handler
# {% else %}
from runtime.limits import LimitedServer
# {% endif %}
# {% if cookiecutter.asgi_server == "daphne" and cookiecutter.use_channels %}
from runtime.requests.proxies import TrustedProxies
# {% endif %}

# {% if cookiecutter.asgi_server != "daphne" %}
# Seconds beyond the grace that a process has to end, for what closes with the server.
CLOSING_TIMEOUT = 10

# {% endif %}
# {% if cookiecutter.asgi_server == "uvicorn" %}

class DrainedServer(uvicorn.Server):
    """uvicorn, which is drained before it stops, and cuts off in the end what has not finished."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop. uvicorn itself would raise the signal again in the end, and exit as if it had been killed."""
        stop, loop = get_stop(), asyncio.get_running_loop()
        if self.config.workers > 1 and sig == signal.SIGTERM:
            # The supervisor sends it to all, even to one that it has hurried.
            loop.call_soon_threadsafe(stop.begin)
        else:
            loop.call_soon_threadsafe(stop.ask, sig == signal.SIGINT or not self.started)

    async def on_tick(self, counter: int) -> bool:
        """Tell, ten times a second, whether to stop. Several times in the write timeout, look for stalled clients."""
        if counter % max(1, int(settings.RESPONSE_WRITE_TIMEOUT)) == 0:
            for connection in list(self.server_state.connections):
                if isinstance(connection, LimitedProtocol):
                    connection.check_progress()
        return await super().on_tick(counter) or get_stop().stopping.is_set()

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Let requests finish, until it is over."""
        cutting = asyncio.create_task(self.cut())
        await super().shutdown(sockets)
        cutting.cancel()

    async def cut(self) -> None:
        """Close the connections that are left when it is over. Who still sends or waits there is told."""
        await get_stop().over.wait()
        for connection in list(self.server_state.connections):
            connection.transport.abort()


class Worker(multiprocess.Process):
    """One of several processes."""

    @property
    def server(self) -> uvicorn.Server:
        """What it runs."""
        if self._server is None:
            self._server = DrainedServer(self.config)
        return self._server


class Supervisor(multiprocess.Multiprocess):
    """Starts the workers, and passes on to them that they should stop, and how."""

    def handle_int(self) -> None:
        """Stop without a delay."""
        self.interrupt()
        super().handle_int()

    def interrupt(self) -> None:
        """Hurry the workers."""
        for worker in self.processes:
            if worker.pid is not None and worker.process.is_alive():
                os.kill(worker.pid, signal.SIGINT)

    def join_all(self) -> None:
        """Wait for the workers to end; a signal that comes meanwhile hurries them."""
        self.signal_queue.clear()
        while any(worker.process.is_alive() for worker in self.processes):
            if self.signal_queue:
                self.signal_queue.clear()
                self.interrupt()
            time.sleep(0.05)
        super().join_all()

    def run(self) -> None:
        """Serve until told to stop. Exit with an error if a worker could not start."""
        super().run()
        if any(worker.exitcode == STARTUP_FAILURE for worker in self.processes):
            sys.exit(STARTUP_FAILURE)


# The supervisor has no other way to be told what it starts.
multiprocess.Process = Worker  # type: ignore[misc]
# {% elif cookiecutter.asgi_server == "granian" %}
# By this one the main process hurries its workers. It does nothing to one that has only begun to start.
HURRY = signal.SIGURG


class DrainedWorker:
    """The application in a worker of granian's, which is drained before it stops, and cuts off in the end what is left.

    granian has set its own handlers of SIGTERM and SIGINT when it opens the lifespan. SIGTERM is ours from then on, and
    SIGINT is blocked, even if a terminal sends it to all processes, until granian itself shall stop.
    """

    def __init__(self, application: Application, port: int) -> None:
        self.application = application
        self.port = port

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass everything on; the lifespan in our own way."""
        return (self.live if scope["type"] == "lifespan" else self.application)(scope, receive, send)

    async def live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Open and close what the application needs, and stop granian in between."""
        stop, loop = get_stop(), asyncio.get_running_loop()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        # The main process sends it to all, even to one that it has hurried.
        loop.add_signal_handler(signal.SIGTERM, stop.begin)
        loop.add_signal_handler(HURRY, stop.ask, True)
        stopping = asyncio.create_task(self.stop_granian())
        watching = asyncio.create_task(WriteTimeouts(self.port).watch())

        async def receive_until_over() -> Mapping[str, Any]:
            received, over = asyncio.ensure_future(receive()), asyncio.create_task(stop.over.wait())
            await asyncio.wait({received, over}, return_when=asyncio.FIRST_COMPLETED)
            over.cancel()
            return received.result() if received.done() else {"type": "lifespan.shutdown"}

        try:
            await self.application(scope, receive_until_over, send)
        finally:
            stopping.cancel()
            watching.cancel()
            if stop.over.is_set():
                # granian would wait for ever for what is left. It is cut off when the process ends.
                logging.shutdown()
                os._exit(0)

    @staticmethod
    async def stop_granian() -> None:
        """Have it take no more connections, and end once no request is left, when those have ended who were told to."""
        stop = get_stop()
        await stop.stopping.wait()
        await stop.nobody_left_to_tell()
        os.kill(os.getpid(), signal.SIGINT)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def load(application: str, port: int) -> DrainedWorker:
    """Return what a worker runs of an application, named as `module:attribute`."""
    Handler.answers_aborted_bodies = True
    return DrainedWorker(import_string(application.replace(":", ".")), port)


class MainProcess(MPServer):
    """granian's main process, which passes on to the workers how they should stop."""

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Stop; without a delay after SIGINT, and faster after a second signal."""
        if self.interrupt_signal or args[0] == signal.SIGINT:
            for worker in self.wrks:
                if worker.is_alive():
                    os.kill(worker.inner.pid, HURRY)
        super().signal_handler_interrupt(*args, **kwargs)

    def _stop_workers(self) -> None:
        """Wait for the workers. granian itself takes one that has just exited for one that will not."""
        for worker in self.wrks:
            worker.terminate()
        deadline = time.monotonic() + (self.workers_kill_timeout or 0)
        while any(worker.is_alive() for worker in self.wrks) and time.monotonic() < deadline:
            time.sleep(0.05)
        super()._stop_workers()
# {% else %}

class LifespanServer(LimitedServer):
    """Daphne, which speaks lifespan, is drained before it stops, and cuts off in the end what has not finished."""

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM. Exit with a message if the application cannot start or stop."""
        # The connections that requests have come by, and where the server listens.
        self.channels: WeakSet[Any] = WeakSet()
        self.ports: list[Any] = []
        # {% if cookiecutter.use_channels %}
        self.proxies = TrustedProxies(settings.TRUSTED_PROXIES)
        # {% endif %}
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        lifespan = twisted_loop.create_task(self.application(scope, self.events.get, self.answers.put))
        self.tell("lifespan.startup")
        stopping = twisted_loop.create_task(self.stop_when_told())
        self.ready_callable = self.limit
        try:
            super().run()
        finally:
            stopping.cancel()
            self.tell("lifespan.shutdown")
            twisted_loop.run_until_complete(lifespan)
        if self.abort_start:
            sys.exit(1)

    def tell(self, event: str) -> None:
        """Send the application an event, and wait until it has acted on it."""
        self.events.put_nowait({"type": event})
        answer = twisted_loop.run_until_complete(self.answers.get())
        if answer["type"] != f"{event}.complete":
            sys.exit(f"{answer['type']}: {answer['message']}")

    def listen_success(self, port: Any) -> None:
        """Note where the server listens."""
        super().listen_success(port)
        self.ports.append(port)

    def create_application(self, protocol: Any, scope: Scope) -> Any:
        """Start the application for a request."""
        # Daphne would let every client set it with the header Daphne-Root-Path.
        scope["root_path"] = self.root_path
        # {% if cookiecutter.use_channels %}
        # TrustedProxiesMiddleware runs only after Daphne has logged the handshake.
        self.proxies.resolve(scope)
        # {% endif %}
        return super().create_application(protocol, scope)

    def protocol_connected(self, protocol: Any) -> None:
        """Note the connection of a request, or of what a request became."""
        super().protocol_connected(protocol)
        if hasattr(protocol, "channel"):
            self.channels.add(protocol.channel)

    async def handle_reply(self, protocol: Any, message: Any) -> None:
        """Send what the application says, and act on it."""
        if (b"Connection", b"close") in message.get("headers", ()) and protocol.channel is not None:
            # Daphne itself would say so, and wait for the next request all the same.
            protocol.channel.persistent = False
        await super().handle_reply(protocol, message)

    async def stop_when_told(self) -> None:
        """Let requests finish, until it is over; then cut off what is left."""
        stop = get_stop()
        twisted_loop.add_signal_handler(signal.SIGINT, stop.ask, True)
        twisted_loop.add_signal_handler(signal.SIGTERM, stop.ask)
        await stop.stopping.wait()
        for port in self.ports:
            port.stopListening()
        await stop.nobody_left_to_tell()
        for channel in list(self.channels):
            if channel.requests:
                channel.persistent = False
            else:
                channel.loseConnection()
        while self.connected() and not stop.over.is_set():  # noqa: ASYNC110 (nobody tells us)
            await asyncio.sleep(0.05)
        for channel in self.connected():
            channel.transport.abortConnection()
        # Whose clients have gone are told so, and end.
        applications = [
            details["application_instance"]
            for details in self.connections.values()
            if "application_instance" in details
        ]
        if applications:
            await asyncio.wait(applications, timeout=self.application_close_timeout)
        reactor.stop()

    def connected(self) -> list[Any]:
        """Return the connections that are still there."""
        return [channel for channel in list(self.channels) if not channel.transport.disconnected]

    def kill_all_applications(self) -> None:
        """Do nothing: there are none left."""
# {% endif %}


def serve(
    application: str,
    host: str,
    port: int,
    # {% if cookiecutter.asgi_server != "daphne" %}
    workers: int = 1,
    # {% endif %}
) -> None:
    """Serve an application, named as `module:attribute`, until SIGINT or SIGTERM. All the server's options are here."""
    # {% if cookiecutter.asgi_server == "uvicorn" %}
    config = uvicorn.Config(
        application,
        host=host,
        port=port,
        workers=workers,
        lifespan="on",
        http=LimitedProtocol,
        # See runtime/requests/proxies.py. uvicorn itself would believe every client on this machine.
        proxy_headers=False,
        # {% if cookiecutter.use_channels %}
        ws=LimitedSocket,
        ws_max_size=settings.WEBSOCKET_MAX_SIZE,
        # {% endif %}
        # Its messages go through the service's own LOGGING.
        log_config=None,
        # What does not end although its connection has been cut off is cancelled, and logged as an error.
        timeout_graceful_shutdown=int(settings.SHUTDOWN_GRACE) + CLOSING_TIMEOUT,
    )
    if workers > 1:
        Supervisor(config, [config.bind_socket()]).run()
        return
    server = DrainedServer(config)
    server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)
    # {% elif cookiecutter.asgi_server == "granian" %}
    MainProcess(
        application,
        address=host,
        port=port,
        workers=workers,
        interface=Interfaces.ASGI,
        log_access=settings.DEBUG,
        # Idle connections count: with fewer, so many of them would keep everybody else out.
        backpressure=10_000,
        # Until it knows the version of HTTP, it waits for ever.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_TIMEOUT * 1000),
        # Seconds after which a worker is killed that does not end: none should ever need them.
        workers_kill_timeout=int(settings.SHUTDOWN_DELAY + settings.SHUTDOWN_GRACE) + CLOSING_TIMEOUT,
        # One that dies is replaced; two deaths within seconds end the service.
        respawn_failed_workers=True,
    ).serve(target_loader=partial(load, port=port))
    # {% else %}
    LifespanServer(
        import_string(application.replace(":", ".")),
        endpoints=build_endpoint_description_strings(host=host, port=port),
        # See `stop_when_told`.
        signal_handlers=False,
        # {% if cookiecutter.use_channels %}
        # Seconds that a consumer has to accept a socket.
        websocket_connect_timeout=5,
        # {% endif %}
        action_logger=AccessLogGenerator(sys.stdout),
    ).run()
    # {% endif %}


def main() -> None:
    """Serve the service as in production, at the address that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m runtime.server", description="Serves the ASGI application.")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at (%(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="the port to listen at (%(default)s)")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    # Before Django is set up, where the application is: the server itself has something to say.
    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
    serve(
        ":".join(settings.ASGI_APPLICATION.rsplit(".", 1)),
        options.host,
        options.port,
        # {% if cookiecutter.asgi_server != "daphne" %}
        settings.WEB_CONCURRENCY,
        # {% endif %}
    )


if __name__ == "__main__":
    main()
