"""Hashing threads: which calls run in them, and that they do not delay queries."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from inspect import iscoroutinefunction

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.hashers import MD5PasswordHasher
from django.test import override_settings
from django.urls import resolve

from runtime.auth.hashing import in_hashing_thread
from runtime.tests.service import User, application
from runtime.threads.middleware import WorkerThread
from runtime.threads.pool import get_hashing_pool, get_worker_pool

TIMEOUT = 5.0  # seconds


@pytest.fixture
def one_thread_each() -> Iterator[None]:
    """Limit the process to one worker thread and one hashing thread."""
    pools = (get_worker_pool, get_hashing_pool)
    for get_pool in pools:
        get_pool.cache_clear()
    with override_settings(MAX_THREADS=1, HASHING_THREADS=1):
        yield
        for get_pool in pools:
            assert get_pool().drain(TIMEOUT)
            get_pool.cache_clear()


async def test_hashing_does_not_occupy_the_worker_threads(one_thread_each: None) -> None:
    hashing, release = threading.Event(), threading.Event()

    def hash_password() -> int:
        hashing.set()
        release.wait(TIMEOUT)
        return threading.get_ident()

    async def login() -> tuple[int, int]:
        async with WorkerThread():
            before = await sync_to_async(threading.get_ident)()
            return before, await in_hashing_thread(hash_password)()

    async def query() -> int:
        async with WorkerThread():
            return await sync_to_async(threading.get_ident)()

    logins = [asyncio.create_task(login()) for _ in range(3)]
    await asyncio.to_thread(hashing.wait, TIMEOUT)
    async with asyncio.timeout(TIMEOUT):
        worker_thread = await query()
    release.set()

    threads = await asyncio.gather(*logins)
    assert [before for before, _ in threads] == [worker_thread] * 3
    assert len({hashing_thread for _, hashing_thread in threads} - {worker_thread}) == 1


@pytest.mark.django_db(transaction=True)
async def test_login_hashes_in_a_hashing_thread(one_thread_each: None, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []
    verify: Callable[..., bool] = MD5PasswordHasher.verify

    def record_thread(*args: str) -> bool:
        threads.append(threading.current_thread())
        return verify(*args)

    monkeypatch.setattr(MD5PasswordHasher, "verify", record_thread)
    async with WorkerThread():
        await sync_to_async(User.objects.create_superuser)("ada", password="a secret")
    transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        await client.get("/admin/login/")
        [token] = client.cookies.values()
        form = {"username": "ada", "password": "a secret", "csrfmiddlewaretoken": token}
        assert (await client.post("/admin/login/", data=form)).status_code == 302

    assert threads
    assert set(threads) <= get_hashing_pool().workers


@pytest.mark.parametrize(
    "path",
    ["login/", "password_change/", "accounts/user/add/", "accounts/user/1/password/"],
)
def test_admin_view_that_hashes_is_asynchronous(path: str) -> None:
    assert iscoroutinefunction(resolve(f"/admin/{path}").func)
