"""The lifespan protocol, which opens resources when a server process starts and closes them when it stops."""

import gc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager

from runtime.asgi import ASGIApp, Receive, Scope, Send

type Resource = Callable[[], AbstractAsyncContextManager[object]]

# A Django app adds its resources in `AppConfig.ready`. They open before the service's own and close after them.
RESOURCES: list[Resource] = []


@contextmanager
def frozen_heap() -> Iterator[None]:
    """Exempt from garbage collection what start-up has created, which lives as long as the process.

    A full collection stops the event loop. It is shorter if it does not visit Django and the service's modules.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class LifespanMiddleware:
    """Opens resources before the first request of an ASGI application and closes them after the last.

    Each resource is a function without arguments that returns an async context manager. They open in order and close in
    reverse. If one of them raises an exception, the server does not start. Tests enter `running()`.
    """

    def __init__(self, app: ASGIApp, *resources: Resource) -> None:
        self.app = app
        self.resources = resources

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep all resources open during the block."""
        async with AsyncExitStack() as stack:
            for resource in self.resources:
                await stack.enter_async_context(resource())
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the lifespan protocol, which Django does not support, and call the application for other scopes."""
        if scope["type"] == "lifespan":
            await self.handle_lifespan(receive, send)
        else:
            await self.app(scope, receive, send)

    async def handle_lifespan(self, receive: Receive, send: Send) -> None:
        """Reply to the server's startup and shutdown events.

        The server gets the message of a resource's exception. The exception is then raised, so that the server logs it.
        """
        await receive()
        started = False
        try:
            async with self.running():
                started = True
                with frozen_heap():
                    await send({"type": "lifespan.startup.complete"})
                    await receive()
        except Exception as error:
            if started:
                await send({"type": "lifespan.shutdown.failed", "message": str(error)})
            else:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.shutdown.complete"})
