"""Threads for hashing passwords, apart from those in which requests run their queries.

A password hash takes a processor for some tenths of a second, on purpose. In the threads of MAX_THREADS, a few dozen
logins at once would make every query wait. HASHING_THREADS bounds how many run at a time; further ones wait, without
a thread.
"""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from runtime.threads.middleware import WorkerThread, release_thread
from runtime.threads.pool import get_hashing_pool


def in_hashing_thread[**P, R](function: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Return an awaitable version of a function that hashes passwords, such as `make_password`.

    The request's own thread is given back first, with its database connection. Where a synchronous caller waits, as in
    Django's TestCase, the function runs in the caller's thread.
    """

    @wraps(function)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        release_thread()
        async with WorkerThread(get_hashing_pool()):
            return await sync_to_async(function)(*args, **kwargs)

    return wrapper


def hashes_passwords(
    view: Callable[..., HttpResponseBase],
) -> Callable[..., Coroutine[Any, Any, HttpResponseBase]]:
    """Make a synchronous view that hashes what is posted an asynchronous one, whose POSTs run in a hashing thread."""

    @wraps(view)
    async def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        run = in_hashing_thread(view) if request.method == "POST" else sync_to_async(view)
        return await run(request, *args, **kwargs)

    return wrapper
