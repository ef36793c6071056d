"""Hashes passwords in threads of their own, so that logins do not delay the queries of other requests.

A password hash takes some tenths of a second of processor time. In the worker threads, a few dozen concurrent logins
would make every query wait. HASHING_THREADS limits the concurrent hashes. Further logins wait without a thread.
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
    """Return a coroutine function that runs a function in a hashing thread, such as `make_password`.

    The request's worker thread and its database connection are released first. Below `async_to_sync`, as in Django's
    TestCase, the function runs in the caller's thread.
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
    """Return an asynchronous version of a synchronous view. Its POST requests run in a hashing thread."""

    @wraps(view)
    async def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        run = in_hashing_thread(view) if request.method == "POST" else sync_to_async(view)
        return await run(request, *args, **kwargs)

    return wrapper
