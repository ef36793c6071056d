"""The signals of a request: the order of their receivers, and the errors of receivers."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.core.signals import request_finished, request_started
from django.dispatch import Signal
from equivalence.client import Client, Request, case, get
from equivalence.recorder import describe, note
from equivalence.settings import EVERY

urlpatterns: list[Any] = []

SIGNALS = {"request_started": request_started, "request_finished": request_finished}


def receiving(
    signal: Signal, receiver: Callable[..., Any], **options: Any
) -> Callable[[], AbstractContextManager[None]]:
    """Return a function that connects a receiver for the duration of a `with` block."""

    @contextmanager
    def connect() -> Iterator[None]:
        signal.connect(receiver, **options)
        yield
        signal.disconnect(receiver, sender=options.get("sender"))

    return connect


def describe_sender(sender: Any) -> str:
    """Return the sender of a signal. Any subclass of Django's handler counts as the handler."""
    return "the handler" if isinstance(sender, type) and issubclass(sender, ASGIHandler) else repr(sender)


def receiver(name: str) -> Callable[..., None]:
    """Return a receiver."""

    def receive(sender: Any, **signal: Any) -> None:
        note(f"{name} from {describe_sender(sender)} with {sorted(signal)}")

    return receive


def areceiver(name: str) -> Callable[..., Any]:
    """Return an asynchronous receiver."""

    async def receive(sender: Any, **signal: Any) -> None:
        note(f"{name}, asynchronously, from {describe_sender(sender)} with {sorted(signal)}")

    return receive


def failing(name: str) -> Callable[..., None]:
    """Return a receiver that fails."""

    def receive(**signal: Any) -> None:
        note(f"{name} makes a receiver fail")
        raise ValueError(f"on {name}")

    return receive


def querying(name: str) -> Callable[..., None]:
    """Return a receiver that does a query."""

    def receive(**signal: Any) -> None:
        from django.contrib.sessions.models import Session

        try:
            note(f"{name}, with {Session.objects.count()} sessions")
        except Exception as error:
            note(f"{name}: {describe(error)}")

    return receive


KINDS = {
    "a function": lambda name, signal: [receiving(signal, receiver(name))],
    "a coroutine function": lambda name, signal: [receiving(signal, areceiver(name))],
    "both": lambda name, signal: [receiving(signal, areceiver(name)), receiving(signal, receiver(name))],
    "one that fails": lambda name, signal: [receiving(signal, failing(name)), receiving(signal, receiver(name))],
    "one that does a query": lambda name, signal: [receiving(signal, querying(name))],
    "one for Django's handler": lambda name, signal: [receiving(signal, receiver(name), sender=ASGIHandler)],
    "one for another sender": lambda name, signal: [receiving(signal, receiver(name), sender=Request)],
}
REQUESTS = (
    get("/async/plain/"),
    get("/plain/"),
    get("/async/streams/async/"),
    get("/async/clients/wait/", client=Client.DISCONNECTS),
    get("/async/plain/?\xff"),
    get("/async/errors/fail/ValueError/"),
)


def name_of(request: Request) -> str:
    """Return a name that can be printed."""
    return request.path.encode("unicode_escape").decode()


cases = [
    *(
        case(f"{name}, {kind}, {name_of(request)}", request, receivers=connect(name, signal), MIDDLEWARE=EVERY)
        for name, signal in SIGNALS.items()
        for kind, connect in KINDS.items()
        for request in (REQUESTS if kind in {"a function", "both", "one that fails"} else REQUESTS[:1])
    ),
]
