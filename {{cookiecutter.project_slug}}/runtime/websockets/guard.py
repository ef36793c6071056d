"""Limits for WebSockets, the same for each consumer and each server.

Any client can open a socket and keep it open for hours. The guard limits the size, the rate and the age of its messages
and the time that its client takes to read. It closes the socket with a code that the client can act on.
"""

import asyncio
import logging
from functools import partial
from typing import Any

from channels.exceptions import ChannelFull
from django.conf import settings
from django.db import InterfaceError, OperationalError
from redis.exceptions import RedisError

from runtime.asgi import ASGIApp, Receive, Scope, Send
from runtime.conf import conf
from runtime.server.shutdown import get_shutdown_state

# Close codes (RFC 6455 and IANA's registry). The service's README explains them to developers of clients.
GOING_AWAY = 1001
POLICY_VIOLATION = 1008
MESSAGE_TOO_BIG = 1009
SERVICE_RESTART = 1012
TRY_AGAIN_LATER = 1013
# Applications define the codes from 4000. This one corresponds to HTTP's 401.
SESSION_ENDED = 4401
# Only the consumer gets this code: the connection is broken.
ABNORMAL_CLOSURE = 1006

logger = logging.getLogger(__name__)


class Socket:
    """A socket between the server and the application. Both see an ordinary ASGI WebSocket."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self.receive_from_client = receive
        self.send_to_client = send
        self.is_accepted = False
        # By either side. Messages can no longer be sent.
        self.is_closed = False
        # The client's messages that the application has not received yet.
        self.received: asyncio.Queue[Any] = asyncio.Queue()
        # The close code, once the socket is to end.
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        # Theoretical arrival time of the next frame (GCRA). It advances by 1/rate per frame, and the burst is how far
        # it may run ahead of the clock.
        self.arrival_time = 0.0

    def end(self, code: int) -> None:
        """Close the socket with a code, and send the application a disconnect. The first code counts."""
        if not self.ended.done():
            self.ended.set_result(code)
            self.received.put_nowait(None)

    async def serve(self, application: ASGIApp, scope: Scope) -> None:
        """Run the application until it or the socket ends. Raises the exception of the application."""
        loop = asyncio.get_running_loop()
        timers = [
            loop.call_later(conf.WEBSOCKET_HANDSHAKE_TIMEOUT, self.end_unaccepted),
            loop.call_later(conf.WEBSOCKET_MAX_AGE, self.end, GOING_AWAY),
        ]
        self.reader = asyncio.create_task(self.read_client())
        app_task = asyncio.create_task(self.run_app(application, scope))
        either: list[asyncio.Future[Any]] = [app_task, self.ended]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if self.ended.done():
                await self.close(self.ended.result())
                await asyncio.wait({self.reader, app_task}, timeout=conf.WEBSOCKET_LEAVE_TIMEOUT)
        finally:
            for timer in timers:
                timer.cancel()
            for task in (self.reader, app_task):
                task.cancel()
                task.add_done_callback(retrieve_exception)
            await asyncio.wait({self.reader, app_task}, timeout=conf.WEBSOCKET_CLOSE_TIMEOUT)
        if app_task.done() and not app_task.cancelled():
            app_task.result()

    async def run_app(self, application: ASGIApp, scope: Scope) -> None:
        """Run the application. End the socket if a dependency is down, and all sockets if that is the channel layer."""
        try:
            await application(scope, self.receive, self.send)
        except RedisError as error:
            report(error)
            # All sockets share the channel layer. Without this, those that do not receive now would notice later.
            end_all(TRY_AGAIN_LATER)
        except (ChannelFull, OperationalError, InterfaceError) as error:
            report(error)
            self.end(TRY_AGAIN_LATER)

    async def read_client(self) -> None:
        """Read the client's messages as they arrive, even if the application is busy. End the socket at a limit.

        Messages after the end are read and dropped: otherwise the client would not see the close frame.
        """
        disconnected = False
        while not disconnected:
            message = await self.receive_from_client()
            if message["type"] == "websocket.receive":
                if size(message) > settings.WEBSOCKET_MAX_SIZE:
                    self.end(MESSAGE_TOO_BIG)
                elif self.rate_exceeded():
                    self.end(POLICY_VIOLATION)
            elif message["type"] == "websocket.disconnect":
                self.is_closed = disconnected = True
            if not self.ended.done():
                self.received.put_nowait(message)

    def rate_exceeded(self) -> bool:
        """Count a frame. Return whether it exceeds the rate limit and its burst."""
        now = asyncio.get_running_loop().time()
        self.arrival_time = max(self.arrival_time, now) + 1 / settings.WEBSOCKET_RATE
        return self.arrival_time - now > settings.WEBSOCKET_BURST / settings.WEBSOCKET_RATE

    async def receive(self) -> Any:
        """Return the next message for the application."""
        message = None if self.ended.done() else await self.received.get()
        return message or {"type": "websocket.disconnect", "code": self.ended.result()}

    async def send(self, message: Any) -> None:
        """Send the client a message. A message after the end is dropped."""
        if self.is_closed or self.ended.done():
            return
        try:
            # Most messages go to the server's buffer at once. Only one that waits for the client needs a timer.
            sending = asyncio.Task(self.pass_on(message), loop=asyncio.get_running_loop(), eager_start=True)
            if sending.done():
                sending.result()
            else:
                async with asyncio.timeout(conf.WEBSOCKET_SEND_TIMEOUT):
                    await sending
        except TimeoutError:
            self.end(TRY_AGAIN_LATER)
        except OSError:
            self.is_closed = True
            self.end(ABNORMAL_CLOSURE)

    async def pass_on(self, message: Any) -> None:
        """Send a message, and note first that it accepts or closes the socket."""
        self.is_accepted = self.is_accepted or message["type"] == "websocket.accept"
        self.is_closed = message["type"] == "websocket.close"
        if self.is_closed:
            # Some servers send the close frame only when no task receives.
            self.reader.cancel()
            await asyncio.wait({self.reader})
        await self.send_to_client(message)
        if self.is_closed:
            self.reader = asyncio.create_task(self.read_client())

    def end_unaccepted(self) -> None:
        """End the socket if the consumer has neither accepted nor refused it."""
        if not (self.is_accepted or self.is_closed):
            self.end(TRY_AGAIN_LATER)

    async def close(self, code: int) -> None:
        """Send the client the close code. Browsers see it only if the socket was accepted, so accept it first."""
        if self.is_closed:
            return
        try:
            async with asyncio.timeout(conf.WEBSOCKET_CLOSE_TIMEOUT):
                if not self.is_accepted:
                    await self.pass_on({"type": "websocket.accept"})
                await self.pass_on({"type": "websocket.close", "code": code})
        except OSError:
            # The client has left, or does not read (TimeoutError). The server ends the connection.
            pass


# The sockets of this process.
open_sockets: set[Socket] = set()


def end_all(code: int) -> None:
    """End every socket of this process with a code. They are gone once `open_sockets` is empty."""
    for socket in list(open_sockets):
        socket.end(code)


class WebSocketGuardMiddleware:
    """Limits the WebSockets of an ASGI application, which may close its socket with `scope["close"](code)`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket."""
        socket = Socket(receive, send)
        open_sockets.add(socket)
        try:
            with get_shutdown_state().notify_on_stop(partial(socket.end, SERVICE_RESTART)):
                await socket.serve(self.app, {**scope, "close": socket.end})
        finally:
            open_sockets.discard(socket)


def size(message: Any) -> int:
    """Return the size of a frame in bytes."""
    return len(message.get("bytes") or (message.get("text") or "").encode())


def retrieve_exception(task: asyncio.Future[Any]) -> None:
    """Retrieve the exception of a task, so that asyncio does not log it as never retrieved."""
    if not task.cancelled():
        task.exception()


reported: dict[type[Exception], float] = {}


def report(error: Exception) -> None:
    """Log an outage, in one line for all the sockets that it closes."""
    now = asyncio.get_running_loop().time()
    if now - reported.get(type(error), -conf.WEBSOCKET_LOG_INTERVAL) >= conf.WEBSOCKET_LOG_INTERVAL:
        reported[type(error)] = now
        logger.warning("Sockets are closed with %d: %s: %s", TRY_AGAIN_LATER, type(error).__name__, error)
