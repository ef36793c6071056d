"""`python -m equivalence.replay STACK DATABASE [CASE…]` makes the requests of cases and prints the events as JSON.

The stack is `django` or `runtime`. With `prepare` in its place, the command creates the database of the cases.
The database is an SQLite file or the URL of a PostgreSQL database.

Most cases are replayed without receivers of request signals, because the runtime takes shortcuts then. Some are
replayed with receivers as well.
"""

import asyncio
import gc
import json
import random
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, tzinfo
from functools import cache
from http.cookies import SimpleCookie
from typing import Any
from unittest.mock import patch

import django
from django.conf import settings
from django.test.utils import override_settings
from equivalence.client import Case, Client, Request
from equivalence.databases import Database, database_at
from equivalence.fixtures import NOW, populate
from equivalence.recorder import describe, events, note, record_log, record_queries
from equivalence.settings import SETTINGS

TIMEOUT = 60  # seconds for a request
# A request of these clients may leave tasks behind.
ABORTING = set(Client) - {Client.NORMAL, Client.SLOW}
MAX_SHOWN = 300  # bytes of a body


def main() -> None:
    """Run the command line."""
    stack, location, *names = sys.argv[1:]
    database = database_at(location)
    settings.configure(**SETTINGS, DATABASES={"default": database.configuration(stack)})
    django.setup()
    if stack == "prepare":
        prepare()
        return

    from django.db.backends.signals import connection_created
    from equivalence.subjects import ALSO_WITH_RECEIVERS, CASES

    connection_created.connect(record_queries)
    record_log()
    database.save()
    before = database.rows()
    # The objects that exist now stay alive. The garbage collector need not examine them in each case.
    gc.freeze()
    results = {}
    with asyncio.Runner() as runner:
        serving = database.serving(stack)
        runner.run(serving.__aenter__())
        for name in names or CASES:
            results[name] = {}
            for receivers in (False, True) if name.startswith(ALSO_WITH_RECEIVERS) else (False,):
                result = replay(CASES[name], stack, receivers, runner, database)
                results[name]["with receivers" if receivers else "without receivers"] = result
                if database.rows() != before:
                    database.restore()
        runner.run(serving.__aexit__(None, None, None))
    json.dump(results, sys.stdout)


def prepare() -> None:
    """Create the database of the cases."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    populate()


def replay(case: Case, stack: str, receivers: bool, runner: asyncio.Runner, database: Database) -> dict[str, Any]:
    """Make the requests of a case. Return the events, the number of hops to a thread, and the middleware."""
    from runtime.development.hops import count_hops

    events.clear()
    with ExitStack() as stacked:
        stacked.enter_context(override_settings(**case.settings))
        stacked.enter_context(deterministic(case.name))
        for connect in [*case.receivers, *(connect_receivers() if receivers else [])]:
            stacked.enter_context(connect())
        application, middleware = build(stack)
        with count_hops() as hops:
            runner.run(run_case(application, case))
        events.extend(database.rows())
    return {"events": events.copy(), "hops": len(hops), "middleware": middleware}


def connect_receivers() -> Iterator[Any]:
    """Yield a function that connects a receiver, for each signal of a request."""
    from equivalence.subjects.signals import SIGNALS, receiver, receiving

    for name, signal in SIGNALS.items():
        yield receiving(signal, receiver(f"received {name}"))


def build(stack: str) -> tuple[Any, list[str]]:
    """Return the application of a stack under the current settings, and the names of its middleware."""
    if stack == "django":
        from django.core.handlers.asgi import ASGIHandler

        return ASGIHandler(), settings.MIDDLEWARE

    from runtime.requests.handler import Handler
    from runtime.threads.middleware import WorkerThreadMiddleware

    with override_settings(MIDDLEWARE=[counterparts().get(name, name) for name in settings.MIDDLEWARE]):
        return WorkerThreadMiddleware(Handler()), settings.MIDDLEWARE


@cache
def counterparts() -> dict[str, str]:
    """Return the runtime's middleware by the names of the Django middleware that they replace."""
    from runtime.requests import middleware

    return {
        f"{base.__module__}.{base.__qualname__}": f"{inline.__module__}.{inline.__qualname__}"
        for inline in vars(middleware).values()
        if isinstance(inline, type) and middleware.InlineHooksMixin in inline.__bases__
        for base in inline.__bases__
        if base is not middleware.InlineHooksMixin
    }


class FrozenClock(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        """Return the time of every case."""
        return NOW


@contextmanager
def deterministic(seed: str) -> Iterator[None]:
    """Freeze the clock and seed the random numbers."""
    generator = random.Random(seed)  # noqa: S311
    with (
        patch("time.time", NOW.timestamp),
        patch("django.utils.timezone.datetime", FrozenClock),
        patch("secrets.choice", generator.choice),
        patch("secrets.token_urlsafe", lambda size: generator.randbytes(size).hex()),
    ):
        yield


async def run_case(application: Any, case: Case) -> None:
    """Make the requests of a case. Each sends the cookies of earlier responses."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(
        lambda loop, context: note(f"event loop: {context['message']} {describe(context.get('exception'))}")
    )
    cookies: dict[str, str] = {}
    for request in case.requests:
        note(f"--- {request.method} {request.path}")
        await make_request(application, request, cookies)
        if request.client in ABORTING:
            await note_leftovers()


async def note_leftovers() -> None:
    """Note the tasks that are still running, and exceptions that were never retrieved."""
    # A call in a thread may take a moment to end.
    await asyncio.sleep(0.01)
    gc.collect()
    # The event loop may close a collected generator in a task.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        note(f"{len(left)} tasks are left")


async def make_request(application: Any, request: Request, cookies: dict[str, str]) -> None:
    """Make a request with the behaviour of its client, and store the cookies of the response."""
    incoming = request.messages()
    receiving, triggered = asyncio.Event(), asyncio.Event()
    scope = request.scope(cookies)
    scope |= {"loop": asyncio.get_running_loop(), "receiving": receiving, "triggered": triggered}
    sent = 0

    async def receive() -> dict[str, Any]:
        if incoming:
            return incoming.pop(0)
        receiving.set()
        await triggered.wait()
        if request.client is Client.REQUEST_CANCELLED:
            task.cancel("by the server")
            await asyncio.Event().wait()
        if request.client is Client.CONNECTION_BREAKS:
            raise OSError("the connection is broken")
        return {"type": "http.request" if request.client is Client.SENDS_TOO_MUCH else "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal sent
        note_message(message)
        sent += 1
        if request.client is Client.SEND_FAILS and sent > 1:
            raise OSError("the connection is broken")
        if request.client is Client.SLOW:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        if message["type"] == "http.response.start":
            keep_cookies(message["headers"], cookies)

    task = asyncio.ensure_future(application(scope, receive, send))
    try:
        async with asyncio.timeout(TIMEOUT):
            await task
    except BaseException as error:
        note(f"raised {describe(error)}")
    else:
        note("done")


def note_message(message: dict[str, Any]) -> None:
    """Note a message: a line for each header, and the beginning, length and checksum of a long body."""
    message = dict(message)
    headers, body = message.pop("headers", []), message.pop("body", b"")
    note(f"send {message}")
    for name, value in headers:
        note(f"  {name.decode()}: {value.decode('latin-1')}")
    if len(body) > MAX_SHOWN:
        note(f"  {body[:MAX_SHOWN]!r} and so on, {len(body)} bytes, {zlib.crc32(body)}")
    elif body:
        note(f"  {body!r}")


def keep_cookies(headers: list[tuple[bytes, bytes]], cookies: dict[str, str]) -> None:
    """Store the cookies that a response sets, and remove those that it deletes."""
    for name, value in headers:
        if name == b"Set-Cookie":
            for morsel in SimpleCookie(value.decode()).values():
                if morsel["max-age"] == "0":
                    cookies.pop(morsel.key, None)
                else:
                    cookies[morsel.key] = morsel.coded_value


if __name__ == "__main__":
    main()
