"""What every socket is held to, whichever consumer it leads to and whichever server it came through.

A socket may be opened by anybody and stay for hours. What it may send is bounded here, and what it may leave lying;
when what its consumer needs is down, it is closed with a code that a client can act on.
"""

import asyncio
import logging
from functools import partial
from typing import Any

from channels.exceptions import ChannelFull
from django.conf import settings
from django.db import InterfaceError, OperationalError
from redis.exceptions import RedisError

from runtime.asgi import Application, Receive, Scope, Send
from runtime.conf import conf
from runtime.server.shutdown import get_shutdown_state

# Close codes. README.md lists them for those who write clients.
GOING_AWAY = 1001
TOO_MANY_FRAMES = 1008
FRAME_TOO_LONG = 1009
SERVICE_RESTART = 1012
TRY_AGAIN_LATER = 1013
# Ours: codes from 4000 are the application's. It is the 401 of sockets.
SESSION_ENDED = 4401
# What the consumer is told, and nobody is sent: the connection was lost.
LOST = 1006


logger = logging.getLogger(__name__)


class Socket:
    """One socket, between the server and the application, which both see a socket like any other."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self.receive_from_client = receive
        self.send_to_client = send
        self.is_accepted = False
        # By either side: nothing can be sent any more.
        self.is_closed = False
        # What the client has sent, for the application to receive.
        self.received: asyncio.Queue[Any] = asyncio.Queue()
        # The code with which it ends, once somebody has said so.
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        # When the frames that have come so far would have come, had they kept to the rate.
        self.due = 0.0

    def end(self, code: int) -> None:
        """Close it with a code, and tell the application that the client has gone. The first one to say so decides."""
        if not self.ended.done():
            self.ended.set_result(code)
            self.received.put_nowait(None)

    async def serve(self, application: Application, scope: Scope) -> None:
        """Run the application until it or the socket ends; raise what it has raised."""
        loop = asyncio.get_running_loop()
        timers = [
            loop.call_later(conf.WEBSOCKET_HANDSHAKE_TIMEOUT, self.end_unaccepted),
            loop.call_later(conf.WEBSOCKET_MAX_AGE, self.end, GOING_AWAY),
        ]
        self.listener = asyncio.create_task(self.listen())
        talk = asyncio.create_task(self.talk(application, scope))
        either: list[asyncio.Future[Any]] = [talk, self.ended]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if self.ended.done():
                await self.close(self.ended.result())
                await asyncio.wait({self.listener, talk}, timeout=conf.WEBSOCKET_LEAVE_TIMEOUT)
        finally:
            for timer in timers:
                timer.cancel()
            for task in (self.listener, talk):
                task.cancel()
                task.add_done_callback(forget)
            await asyncio.wait({self.listener, talk}, timeout=conf.WEBSOCKET_CLOSE_TIMEOUT)
        if talk.done() and not talk.cancelled():
            talk.result()

    async def talk(self, application: Application, scope: Scope) -> None:
        """Run the application; end the socket if what that needs is down, and all of them if they share it."""
        try:
            await application(scope, self.receive, self.send)
        except RedisError as error:
            report(error)
            # The sockets share the channel layer. Those that do not receive from it now would notice later.
            end_all(TRY_AGAIN_LATER)
        except (ChannelFull, OperationalError, InterfaceError) as error:
            report(error)
            self.end(TRY_AGAIN_LATER)

    async def listen(self) -> None:
        """Take what the client sends as it comes, however busy the application is, and end the socket at too much.

        What comes after the end is read too, or the client would not get to hear of it.
        """
        heard_all = False
        while not heard_all:
            message = await self.receive_from_client()
            if message["type"] == "websocket.receive":
                if size(message) > settings.WEBSOCKET_MAX_SIZE:
                    self.end(FRAME_TOO_LONG)
                elif self.is_one_too_many():
                    self.end(TOO_MANY_FRAMES)
            elif message["type"] == "websocket.disconnect":
                self.is_closed = heard_all = True
            if not self.ended.done():
                self.received.put_nowait(message)

    def is_one_too_many(self) -> bool:
        """Count a frame; tell whether it came sooner than the rate allows, and the burst beyond that."""
        now = asyncio.get_running_loop().time()
        self.due = max(self.due, now) + 1 / settings.WEBSOCKET_RATE
        return self.due - now > settings.WEBSOCKET_BURST / settings.WEBSOCKET_RATE

    async def receive(self) -> Any:
        """Return what the application hears next."""
        message = None if self.ended.done() else await self.received.get()
        return message or {"type": "websocket.disconnect", "code": self.ended.result()}

    async def send(self, message: Any) -> None:
        """Send the client a message. One that nobody can hear any more is dropped."""
        if self.is_closed or self.ended.done():
            return
        try:
            async with asyncio.timeout(conf.WEBSOCKET_SEND_TIMEOUT):
                await self.pass_on(message)
        except TimeoutError:
            self.end(TRY_AGAIN_LATER)
        except OSError:
            self.is_closed = True
            self.end(LOST)

    async def pass_on(self, message: Any) -> None:
        """Send a message. Who wants to send one meanwhile sees that it has been accepted, or closed."""
        self.is_accepted = self.is_accepted or message["type"] == "websocket.accept"
        self.is_closed = message["type"] == "websocket.close"
        if self.is_closed:
            # A server may wait with it until nobody listens any more.
            self.listener.cancel()
            await asyncio.wait({self.listener})
        await self.send_to_client(message)
        if self.is_closed:
            self.listener = asyncio.create_task(self.listen())

    def end_unaccepted(self) -> None:
        """End the socket if the consumer has neither accepted nor refused it."""
        if not (self.is_accepted or self.is_closed):
            self.end(TRY_AGAIN_LATER)

    async def close(self, code: int) -> None:
        """Tell the client why it ends. One that has not been accepted is, or a browser would not see the code."""
        if self.is_closed:
            return
        try:
            async with asyncio.timeout(conf.WEBSOCKET_CLOSE_TIMEOUT):
                if not self.is_accepted:
                    await self.pass_on({"type": "websocket.accept"})
                await self.pass_on({"type": "websocket.close", "code": code})
        except OSError:
            # It has gone, or takes nothing any more (TimeoutError). The server ends the connection.
            pass


# Those of this process.
open_sockets: set[Socket] = set()


def end_all(code: int) -> None:
    """End every socket of this process with a code. They are gone once `open_sockets` is empty."""
    for socket in list(open_sockets):
        socket.end(code)


class WebSocketGuardMiddleware:
    """Limits the WebSockets of an ASGI application, which may close its own socket with `scope["end"](code)`."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket."""
        socket = Socket(receive, send)
        open_sockets.add(socket)
        try:
            with get_shutdown_state().notify_on_stop(partial(socket.end, SERVICE_RESTART)):
                await socket.serve(self.app, {**scope, "end": socket.end})
        finally:
            open_sockets.discard(socket)


def size(message: Any) -> int:
    """Return how many bytes a frame has."""
    return len(message.get("bytes") or (message.get("text") or "").encode())


def forget(task: asyncio.Future[Any]) -> None:
    """Keep asyncio from complaining that nobody has asked what a task has raised."""
    if not task.cancelled():
        task.exception()


reported: dict[type[Exception], float] = {}


def report(error: Exception) -> None:
    """Log what is down, in one line for all the sockets that are closed for it."""
    now = asyncio.get_running_loop().time()
    if now - reported.get(type(error), -conf.WEBSOCKET_LOG_INTERVAL) >= conf.WEBSOCKET_LOG_INTERVAL:
        reported[type(error)] = now
        logger.warning("Sockets are closed with %d: %s: %s", TRY_AGAIN_LATER, type(error).__name__, error)
