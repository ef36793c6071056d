"""`python -m equivalence.replay STACK DATABASE [CASE…]` makes the requests of cases, and prints what happened as JSON.

The stack is `django` or `ours`. Instead of it, `prepare` creates the database that each case begins with.

Most cases are replayed without a receiver of the signals of a request, for then ours takes shorter ways; some are
replayed with one of each as well.
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
from pathlib import Path
from typing import Any
from unittest.mock import patch

import django
from django.conf import settings
from django.test.utils import override_settings
from equivalence.client import Case, Client, Request
from equivalence.fixtures import NOW, populate, take_stock
from equivalence.recorder import describe, events, listen_to_the_database, listen_to_the_log, note
from equivalence.settings import SETTINGS

# Seconds in which a request must be answered.
PATIENCE = 60
# These may leave something behind.
IMPATIENT = set(Client) - {Client.PATIENT, Client.IS_SLOW}
# Bytes of a body that are shown.
LONG = 300


def main() -> None:
    """Do what the command line says."""
    stack, path, *names = sys.argv[1:]
    database = Path(path)
    # Nobody needs what is in it after a power failure.
    options = {"init_command": "PRAGMA synchronous=OFF; PRAGMA journal_mode=MEMORY"}
    databases = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database, "OPTIONS": options}}
    settings.configure(**SETTINGS, DATABASES=databases)
    django.setup()
    if stack == "prepare":
        prepare()
        return

    from django.db.backends.signals import connection_created
    from equivalence.subjects import CASES, HEARD

    connection_created.connect(listen_to_the_database)
    listen_to_the_log()
    untouched, before = database.read_bytes(), take_stock(database)
    # What is there now stays, and need not be looked at when garbage is collected.
    gc.freeze()
    results = {}
    with asyncio.Runner() as runner:
        for name in names or CASES:
            results[name] = {}
            for heard in (False, True) if name.startswith(HEARD) else (False,):
                result = replay(CASES[name], stack, heard, runner, database)
                results[name]["heard" if heard else "unheard"] = result
                if take_stock(database) != before:
                    database.write_bytes(untouched)
    json.dump(results, sys.stdout)


def prepare() -> None:
    """Create the database."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    populate()


def replay(case: Case, stack: str, heard: bool, runner: asyncio.Runner, database: Path) -> dict[str, Any]:
    """Make the requests of a case; return what happened, and how often it went to a thread."""
    from runtime.development.hops import count_hops

    events.clear()
    with ExitStack() as stacked:
        stacked.enter_context(override_settings(**case.settings))
        stacked.enter_context(pinned(case.name))
        for connect in [*case.receivers, *(hearing() if heard else [])]:
            stacked.enter_context(connect())
        application, middleware = build(stack)
        with count_hops() as hops:
            runner.run(converse(application, case))
        events.extend(take_stock(database))
    return {"events": events.copy(), "hops": len(hops), "middleware": middleware}


def hearing() -> Iterator[Any]:
    """Yield what connects a receiver of each signal of a request."""
    from equivalence.subjects.signals import SIGNALS, receiver, receiving

    for name, signal in SIGNALS.items():
        yield receiving(signal, receiver(f"heard {name}"))


def build(stack: str) -> tuple[Any, list[str]]:
    """Return the application of a stack, with the settings as they are, and the names of its middleware."""
    if stack == "django":
        from django.core.handlers.asgi import ASGIHandler

        return ASGIHandler(), settings.MIDDLEWARE

    from runtime.requests.handler import Handler
    from runtime.threads.middleware import WorkerThreadMiddleware

    with override_settings(MIDDLEWARE=[counterparts().get(name, name) for name in settings.MIDDLEWARE]):
        return WorkerThreadMiddleware(Handler()), settings.MIDDLEWARE


@cache
def counterparts() -> dict[str, str]:
    """Return the names of our own middleware, each by that of Django's which it stands for."""
    from runtime.requests import middleware

    return {
        f"{base.__module__}.{base.__qualname__}": f"{ours.__module__}.{ours.__qualname__}"
        for ours in vars(middleware).values()
        if isinstance(ours, type) and middleware.InlineHooksMixin in ours.__bases__
        for base in ours.__bases__
        if base is not middleware.InlineHooksMixin
    }


class Stopped(datetime):
    """A clock that does not go on."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        """Return always the same."""
        return NOW


@contextmanager
def pinned(seed: str) -> Iterator[None]:
    """Stop the clock, and have chance decide as it did before."""
    chance = random.Random(seed)  # noqa: S311
    with (
        patch("time.time", NOW.timestamp),
        patch("django.utils.timezone.datetime", Stopped),
        patch("secrets.choice", chance.choice),
        patch("secrets.token_urlsafe", lambda size: chance.randbytes(size).hex()),
    ):
        yield


async def converse(application: Any, case: Case) -> None:
    """Make the requests of a case, with the cookies of the responses before."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(
        lambda loop, context: note(f"event loop: {context['message']} {describe(context.get('exception'))}")
    )
    cookies: dict[str, str] = {}
    for request in case.requests:
        note(f"--- {request.method} {request.path}")
        await converse_once(application, request, cookies)
        if request.client in IMPATIENT:
            await look_for_remains()


async def look_for_remains() -> None:
    """Note the tasks that are left, and the errors that nobody has asked for."""
    # What runs in a thread may go on for a moment.
    await asyncio.sleep(0.01)
    gc.collect()
    # What has been collected may have to be closed by a task.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        note(f"{len(left)} tasks are left")


async def converse_once(application: Any, request: Request, cookies: dict[str, str]) -> None:
    """Make a request as its client does; keep the cookies that it is given."""
    incoming = request.messages()
    listening, dismissed = asyncio.Event(), asyncio.Event()
    scope = request.scope(cookies)
    scope |= {"loop": asyncio.get_running_loop(), "listening": listening, "dismissed": dismissed}
    taken = 0

    async def receive() -> dict[str, Any]:
        if incoming:
            return incoming.pop(0)
        listening.set()
        await dismissed.wait()
        if request.client is Client.IS_DROPPED:
            task.cancel("by the server")
            await asyncio.Event().wait()
        if request.client is Client.BREAKS:
            raise OSError("the connection is broken")
        return {"type": "http.request" if request.client is Client.TALKS_ON else "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal taken
        note_message(message)
        taken += 1
        if request.client is Client.IS_DEAF and taken > 1:
            raise OSError("nobody listens")
        if request.client is Client.IS_SLOW:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        if message["type"] == "http.response.start":
            keep_cookies(message["headers"], cookies)

    task = asyncio.ensure_future(application(scope, receive, send))
    try:
        async with asyncio.timeout(PATIENCE):
            await task
    except BaseException as error:
        note(f"raised {describe(error)}")
    else:
        note("done")


def note_message(message: dict[str, Any]) -> None:
    """Note what is sent: each header by itself, and of a long body no more than tells it from others."""
    message = dict(message)
    headers, body = message.pop("headers", []), message.pop("body", b"")
    note(f"send {message}")
    for name, value in headers:
        note(f"  {name.decode()}: {value.decode('latin-1')}")
    if len(body) > LONG:
        note(f"  {body[:LONG]!r} and so on, {len(body)} bytes, {zlib.crc32(body)}")
    elif body:
        note(f"  {body!r}")


def keep_cookies(headers: list[tuple[bytes, bytes]], cookies: dict[str, str]) -> None:
    """Keep the cookies that a response sets, and forget those that it deletes."""
    for name, value in headers:
        if name == b"Set-Cookie":
            for morsel in SimpleCookie(value.decode()).values():
                if morsel["max-age"] == "0":
                    cookies.pop(morsel.key, None)
                else:
                    cookies[morsel.key] = morsel.coded_value


if __name__ == "__main__":
    main()
