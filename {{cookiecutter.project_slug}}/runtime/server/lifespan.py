"""The lifespan protocol: resources that open when a server process starts and close when it stops."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from runtime.asgi import Application, Receive, Scope, Send

type Resource = Callable[[], AbstractAsyncContextManager[object]]

# The app of an option adds what it needs, in `AppConfig.ready`. It opens first and closes last.
RESOURCES: list[Resource] = []


class LifespanMiddleware:
    """Wrap an ASGI application so that resources open before its first request and close after its last.

    Django itself refuses the lifespan protocol. A server that speaks it starts and stops the resources through
    `__call__`; a test enters `running()`.

    `resources` are functions without arguments that return an async context manager. They open in order and close in
    reverse. The server does not start if one of them raises an exception.
    """

    def __init__(self, app: Application, *resources: Resource) -> None:
        self.app = app
        self.resources = resources

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep every resource open."""
        async with AsyncExitStack() as stack:
            for resource in self.resources:
                await stack.enter_async_context(resource())
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Speak the lifespan protocol with the server; pass everything else on."""
        if scope["type"] == "lifespan":
            await self.speak_lifespan(receive, send)
        else:
            await self.app(scope, receive, send)

    async def speak_lifespan(self, receive: Receive, send: Send) -> None:
        """Answer the server's startup and shutdown events.

        An exception of a resource is sent to the server, then raised again, so that its traceback is logged.
        """
        await receive()
        started = False
        try:
            async with self.running():
                started = True
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except Exception as error:
            if started:
                await send({"type": "lifespan.shutdown.failed", "message": str(error)})
            else:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.shutdown.complete"})
