"""Messages between processes and sockets, through Valkey or Redis, which may be slow, full or unavailable."""

import asyncio
import logging
import time
from collections import defaultdict, deque
from contextvars import Context
from dataclasses import dataclass
from itertools import chain
from typing import Any

from channels.layers import get_channel_layer
from channels_redis.core import RedisChannelLayer
from redis.asyncio import BlockingConnectionPool
from redis.exceptions import RedisError

from runtime.compat import require
from runtime.conf import conf

require(RedisChannelLayer, "client_prefix", "hosts")

type Message = dict[str, Any]


logger = logging.getLogger(__name__)


class ChannelLayer(RedisChannelLayer):
    """The layer of channels_redis with a connection pool that queues callers, and one reader for all receivers.

    The sockets of a process share the connections. After a restart of the server all of them reconnect at once, and
    the pool of channels_redis would raise for every caller that finds no free connection.
    """

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.readers: dict[str, Reader] = {}

    def create_pool(self, index: int) -> BlockingConnectionPool:
        """Return the connections to one of the hosts."""
        host = dict(self.hosts[index])
        return BlockingConnectionPool.from_url(host.pop("address"), **host)

    async def receive(self, channel: str) -> Message:
        """Return the next message of a channel; raise the error of the reader if the server fails meanwhile."""
        if "!" not in channel:
            return await super().receive(channel)  # type: ignore[no-any-return]
        name = self.non_local_name(channel)
        if not name.endswith(f"{self.client_prefix}!"):
            raise ValueError(f'Channel "{channel}" belongs to another process. Receive it there.')
        if name not in self.readers:
            self.readers[name] = Reader(self, name)
        return await self.readers[name].receive(channel)


@dataclass
class Mailbox:
    """The messages of one channel that have been read and not yet received."""

    messages: deque[Message]
    last_used: float  # time.monotonic() of the last receive


class Reader:
    """The only task of a process that reads its messages from the server; it delivers them into mailboxes.

    The receivers of channels_redis take turns at reading for all of them. A receiver that is cancelled during its turn
    disconnects, and the message that the server has already removed for another receiver is lost. Here a cancelled
    receiver only stops waiting.
    """

    def __init__(self, layer: ChannelLayer, name: str) -> None:
        self.layer = layer
        self.name = name  # of the channels, up to and including their "!"
        self.task: asyncio.Task[None] | None = None
        self.mailboxes: dict[str, Mailbox] = {}  # no empty ones; the least recently used comes first
        self.waiters: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)

    async def receive(self, channel: str) -> Message:
        """Return the next message of a channel."""
        while channel not in self.mailboxes:
            self.start()
            waiter = asyncio.get_running_loop().create_future()
            self.waiters[channel].add(waiter)
            try:
                await waiter
            finally:
                self.waiters[channel].discard(waiter)
                if not self.waiters[channel]:
                    del self.waiters[channel]
        mailbox = self.mailboxes.pop(channel)
        message = mailbox.messages.popleft()
        if mailbox.messages:
            mailbox.last_used = time.monotonic()
            self.mailboxes[channel] = mailbox
        return message

    def start(self) -> None:
        """Start the task unless it runs."""
        loop = asyncio.get_running_loop()
        if self.task is None or self.task.done() or not self.task.get_loop().is_running():
            if self.task is not None and self.task.get_loop() is not loop:
                # These receivers ended with their event loop.
                self.waiters.clear()
            # The task outlives the request or socket that starts it, so it must not keep their context variables.
            self.task = loop.create_task(self.read(), context=Context())
        elif self.task.get_loop() is not loop:
            raise RuntimeError("Two event loops receive from one channel layer. Give each its own channel layer.")

    async def read(self) -> None:
        """Deliver messages until no receiver waits. Pass an error on to all receivers that wait."""
        try:
            connection = self.layer.connection(self.layer.consistent_hash(self.name))
            while self.waiters:
                popped = await connection.bzpopmin(self.layer.prefix + self.name, timeout=self.layer.brpop_timeout)
                if popped:
                    self.deliver(self.layer.deserialize(popped[1]))
                self.drop_unused()
        except Exception as error:
            # Without receivers, the error concerns no caller: the next one starts a new task.
            for waiter in chain.from_iterable(self.waiters.values()):
                if not waiter.done():
                    waiter.set_exception(error)
            self.waiters.clear()

    def deliver(self, message: Message) -> None:
        """Put a message into the mailbox of each of its channels, and wake their receivers."""
        channels = message.pop("__asgi_channel__")
        for channel in [channels] if isinstance(channels, str) else channels:
            if channel not in self.mailboxes:
                # A full mailbox drops its oldest message: its socket has stopped receiving.
                self.mailboxes[channel] = Mailbox(deque(maxlen=self.layer.capacity), time.monotonic())
            self.mailboxes[channel].messages.append(message)
            for waiter in self.waiters.pop(channel, ()):
                if not waiter.done():
                    waiter.set_result(None)

    def drop_unused(self) -> None:
        """Drop the mailboxes from which no message was received for `expiry` seconds: their sockets have ended."""
        horizon = time.monotonic() - self.layer.expiry
        while self.mailboxes and self.mailboxes[channel := next(iter(self.mailboxes))].last_used < horizon:
            del self.mailboxes[channel]


class CircuitBreaker:
    """The state of the channel layer: `open` after a message failed, `probing` while a caller sends one."""

    def __init__(self) -> None:
        self.open = False
        self.probing = False


breaker = CircuitBreaker()


async def group_send(group: str, message: Message) -> bool:
    """Send a message to every socket of a group, in all processes. Return False if the channel layer is unavailable.

    It takes `conf.CHANNEL_LAYER_TIMEOUT` seconds at most. After a failure, one caller at a time probes whether the
    layer is available again, and the others return at once: each of them holds a thread. A dropped message is logged.
    """
    if breaker.open and breaker.probing:
        log_dropped(group, message, "another caller is probing it")
        return False
    breaker.probing = True
    try:
        async with asyncio.timeout(conf.CHANNEL_LAYER_TIMEOUT):
            await get_channel_layer().group_send(group, message)
    except (TimeoutError, RedisError) as error:
        breaker.open = True
        log_dropped(group, message, str(error) or type(error).__name__)
        return False
    finally:
        breaker.probing = False
    breaker.open = False
    return True


def log_dropped(group: str, message: Message, reason: str) -> None:
    """Log that the sockets of a group miss a message, and why."""
    logger.warning('Channel layer unavailable; dropped "%s" for group "%s": %s', message["type"], group, reason)
