"""Runs the service on Daphne, with the lifespan protocol and a graceful shutdown (see `runtime.server.shutdown`)."""

import asyncio
import logging
import signal
import sys
from functools import partial
from typing import Any, override
from weakref import WeakSet

from daphne.access import AccessLogGenerator
from daphne.endpoints import build_endpoint_description_strings
from daphne.server import Server, reactor, twisted_loop
from django.conf import settings
from django.utils.module_loading import import_string

from runtime.asgi import Scope
from runtime.compat import require
from runtime.conf import conf
from runtime.server.daphne_connection import LimitedConnection, LimitedRequest
from runtime.server.shutdown import get_shutdown_state

require(Server, "abort_start", "application_close_timeout", "connections", "http_factory")
require(Server, "ready_callable", "root_path", "ws_factory")

logger = logging.getLogger(__name__)


class BackpressureServer(Server):
    """Daphne with limits for clients, and with backpressure from slow clients to the application."""

    def set_limits(self) -> None:
        """Set the limits of future connections. Daphne calls this when it has created its factories."""
        self.http_factory.protocol = LimitedConnection
        self.http_factory.timeOut = conf.HEADER_TIMEOUT
        # Answer a malformed frame with a close code instead of dropping the connection.
        self.ws_factory.setProtocolOptions(failByDrop=False)

    def create_application(self, protocol: Any, scope: Any) -> Any:
        """Start the application for a request or WebSocket. Return the queue of messages that it receives."""
        queue = super().create_application(protocol, scope)
        if queue is not None:
            application = self.connections[protocol]["application_instance"]
            application.add_done_callback(partial(self.application_done, protocol))
        return queue

    def application_done(self, protocol: Any, application: asyncio.Future[None]) -> None:
        """Log the exception of an application, and end its incomplete response.

        Daphne does this in `application_checker`, which stops forever when an exception comes after the first part of a
        response. Daphne then keeps every connection in memory.
        """
        details = self.connections.get(protocol, {})
        if details.pop("application_instance", None) is None:
            return
        error = None if application.cancelled() else application.exception()
        if error is not None:
            logger.error("Exception inside application: %s", error, exc_info=error)
        if "disconnected" not in details and (error is not None or isinstance(protocol, LimitedRequest)):
            protocol.handle_exception(error)

    async def handle_reply(self, protocol: Any, message: Any) -> None:
        """Send one message of the application, and wait until the connection accepts the next.

        Daphne itself does not wait, and buffers a response to a slow client without limit.
        """
        if "disconnected" in self.connections.get(protocol, {"disconnected": True}):
            # Lets Daphne cancel an application that awaits nothing else.
            await asyncio.sleep(0)
            return
        if not isinstance(protocol, LimitedRequest):
            await self.send_to_websocket(protocol, message)
            return
        connection, more = protocol.channel, message.get("more_body", False)
        if more and connection.has_unsent_data():
            connection.start_write_timer()
        await super().handle_reply(protocol, message)
        if more:
            await connection.flow.writable.wait()

    async def send_to_websocket(self, protocol: Any, message: Any) -> None:
        """Send one message to a WebSocket. Without Channels, it is always the refusal of a handshake."""
        await super().handle_reply(protocol, message)


class DrainedServer(BackpressureServer):
    """Daphne with the lifespan protocol and a graceful shutdown."""

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM. Exit with a message if the startup or shutdown of the application fails."""
        # The open connections and the listening ports.
        self.channels: WeakSet[Any] = WeakSet()
        self.ports: list[Any] = []
        self.lifespan_events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.lifespan_replies: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        lifespan = twisted_loop.create_task(
            self.application(scope, self.lifespan_events.get, self.lifespan_replies.put)
        )
        self.send_event("lifespan.startup")
        draining = twisted_loop.create_task(self.drain())
        self.ready_callable = self.set_limits
        try:
            super().run()
        finally:
            draining.cancel()
            self.send_event("lifespan.shutdown")
            twisted_loop.run_until_complete(lifespan)
        if self.abort_start:
            sys.exit(1)

    def send_event(self, event: str) -> None:
        """Send a lifespan event, and wait for the reply. Exit with its message if the application has failed."""
        self.lifespan_events.put_nowait({"type": event})
        reply = twisted_loop.run_until_complete(self.lifespan_replies.get())
        if reply["type"] != f"{event}.complete":
            sys.exit(f"{reply['type']}: {reply['message']}")

    @override
    def listen_success(self, port: Any) -> None:
        super().listen_success(port)
        self.ports.append(port)

    @override
    def create_application(self, protocol: Any, scope: Scope) -> Any:
        # Otherwise a client could set it with the header Daphne-Root-Path.
        scope["root_path"] = self.root_path
        return super().create_application(protocol, scope)

    @override
    def protocol_connected(self, protocol: Any) -> None:
        super().protocol_connected(protocol)
        if hasattr(protocol, "channel"):
            self.channels.add(protocol.channel)

    @override
    async def handle_reply(self, protocol: Any, message: Any) -> None:
        if (b"Connection", b"close") in message.get("headers", ()) and protocol.channel is not None:
            # Daphne itself sends the header, but keeps the connection open.
            protocol.channel.persistent = False
        await super().handle_reply(protocol, message)

    async def drain(self) -> None:
        """Wait for the shutdown, let requests finish until the deadline, and abort the remaining connections."""
        state = get_shutdown_state()
        twisted_loop.add_signal_handler(signal.SIGINT, state.request, True)
        twisted_loop.add_signal_handler(signal.SIGTERM, state.request)
        await state.stopping.wait()
        for port in self.ports:
            port.stopListening()
        await state.wait_for_listeners()
        for channel in list(self.channels):
            if channel.requests:
                channel.persistent = False
            else:
                channel.loseConnection()
        while self.connected() and not state.deadline_passed.is_set():  # noqa: ASYNC110 (Twisted has no event)
            await asyncio.sleep(0.05)
        for channel in self.connected():
            channel.transport.abortConnection()
        # The aborted applications receive a disconnect event and end.
        applications = [
            details["application_instance"]
            for details in self.connections.values()
            if "application_instance" in details
        ]
        if applications:
            await asyncio.wait(applications, timeout=self.application_close_timeout)
        reactor.stop()

    def connected(self) -> list[Any]:
        """Return the connections that are still open."""
        return [channel for channel in list(self.channels) if not channel.transport.disconnected]

    def kill_all_applications(self) -> None:
        """Do nothing, because `drain` has waited for all applications."""


def serve(application: str, host: str, port: int, workers: int = 1) -> None:
    """Serve an application (`module:attribute`) in a single process until SIGINT or SIGTERM."""
    if workers != 1:
        raise ValueError(f"workers={workers}: Daphne runs a single process. Start the command several times instead.")
    server_class = DrainedServer
    if "channels" in settings.INSTALLED_APPS:
        server_class = import_string("runtime.server.daphne_websocket.WebSocketServer")
    server_class(
        import_string(application.replace(":", ".")),
        endpoints=build_endpoint_description_strings(host=host, port=port),
        # DrainedServer has its own signal handlers.
        signal_handlers=False,
        websocket_connect_timeout=5,  # seconds for a consumer to accept a WebSocket
        action_logger=AccessLogGenerator(sys.stdout),
    ).run()
