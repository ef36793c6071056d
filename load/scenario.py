"""The users that Locust simulates: visitors who read, buyers who log in and write, and WebSockets that ping.

Each user waits for a response and pauses before the next request, so a slow service gets fewer requests. Each response,
error and lost WebSocket becomes a line of JSON in the file that LOAD_RECORDS names.
"""

import json
import os
import random
import time
import urllib.parse
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import websocket
from locust import FastHttpUser, User, between, constant, events, task
from locust.contrib.fasthttp import FastResponse
from locust.exception import CatchResponseError

# The number of products at the start. Their ids are 1 to this number.
PRODUCTS = int(os.environ["LOAD_PRODUCTS"])
USERNAME, PASSWORD = os.environ["LOAD_USERNAME"], os.environ["LOAD_PASSWORD"]
TIMEOUT = 15  # seconds for a connection or a response

records = Path(os.environ["LOAD_RECORDS"]).open("a", buffering=1, encoding="utf-8")  # noqa: SIM115 (until the end)


def record(name: str, seconds: float = 0, error: str | None = None) -> None:
    """Write a record of a request or an event that has just ended."""
    line = {"at": time.time(), "name": name, "seconds": seconds, "error": error}
    records.write(json.dumps(line) + "\n")


@events.request.add_listener
def record_request(name: str, response_time: float, response: FastResponse, exception: Any, **_: Any) -> None:
    """Write a record of a request with the kind of its error."""
    if exception is None:
        error = None
    elif isinstance(exception, CatchResponseError):
        error = "wrong answer"
    elif response.status_code >= 400:
        error = str(response.status_code)
    else:
        error = "no answer in time" if "timed out" in str(exception) else "connection"
    record(name, response_time / 1000, error)


@events.user_error.add_listener
def record_exception(exception: BaseException, **_: Any) -> None:
    """Write a record of an exception in this file, which Locust would only log."""
    record("scenario", error=f"{type(exception).__name__} in the scenario")


class Client(FastHttpUser):
    """A user with its own connection."""

    abstract = True
    network_timeout = connection_timeout = TIMEOUT

    def get(self, name: str, path: str, is_right: Callable[[FastResponse], bool]) -> None:
        """Request a path. A response of 200 for which `is_right` is false counts as an error."""
        with self.client.get(path, name=name, catch_response=True) as response:
            if response.status_code == 200 and not is_right(response):
                response.failure("wrong answer")


class Visitor(Client):
    """A user who only reads."""

    fixed_count = 24
    wait_time = between(0.2, 0.8)

    @task(2)
    def page(self) -> None:
        self.get("page", "/", lambda response: "<h1>" in response.text)

    @task(4)
    def list(self) -> None:
        self.get("list", "/api/products/", lambda response: len(response.json()["products"]) == min(100, PRODUCTS))

    @task(6)
    def detail(self) -> None:
        pk = random.randint(1, PRODUCTS)
        self.get("detail", f"/api/products/{pk}/", lambda response: response.json()["id"] == pk)

    @task(1)
    def export(self) -> None:
        self.get("export", "/api/products/export/", lambda response: response.text.count("\n") >= PRODUCTS)

    @task(2)
    def quotes(self) -> None:
        path = f"/api/products/{random.randint(1, PRODUCTS)}/quotes/"
        self.get("quotes", path, lambda response: len(response.json()["quotes"]) > 0)


class Buyer(Client):
    """A user who logs in, adds products and reserves some."""

    fixed_count = 4
    wait_time = between(0.5, 1.5)

    def cookies(self) -> dict[str, str]:
        """Return the cookies of earlier responses."""
        return {cookie.name: cookie.value or "" for cookie in self.client.cookiejar}

    def post(self, name: str, path: str, status: int, **request: Any) -> None:
        """Post with the CSRF token. A status below 400 other than `status` counts as an error.

        Secure cookies are sent explicitly, because the client would not send them without TLS.
        """
        cookies = self.cookies()
        headers = {
            "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
            "X-CSRFToken": cookies.get("__Host-csrftoken", ""),
        } | request.pop("headers", {})
        options = {"headers": headers, "catch_response": True, "allow_redirects": False}
        with self.client.post(path, name=name, **options, **request) as response:
            if 200 <= response.status_code < 400 and response.status_code != status:
                response.failure("wrong answer")

    def log_in(self) -> None:
        """Log in, or record an error."""
        self.get("log in", "/admin/login/", lambda response: "csrfmiddlewaretoken" in response.text)
        form = urllib.parse.urlencode({"username": USERNAME, "password": PASSWORD})
        self.post(
            "log in", "/admin/login/", 302, data=form, headers={"Content-Type": "application/x-www-form-urlencoded"}
        )

    def call(self, name: str, path: str, status: int, body: dict[str, Any]) -> None:
        """Post to the API, or log in first."""
        if "__Host-sessionid" in self.cookies():
            self.post(name, path, status, json=body)
        else:
            self.log_in()

    @task(1)
    def create(self) -> None:
        self.call("create", "/api/products/", 201, {"name": uuid.uuid4().hex, "price": "12.50", "stock": 3})

    @task(4)
    def reserve(self) -> None:
        path = f"/api/products/{random.randint(1, PRODUCTS)}/reserve/"
        self.call("reserve", path, 200, {"quantity": 1})


class Listener(User):
    """A WebSocket that stays open and pings once a second."""

    fixed_count = 20
    wait_time = constant(1)
    socket: websocket.WebSocket | None = None

    @task
    def ping(self) -> None:
        name, started = "ping" if self.socket else "connect", time.perf_counter()
        try:
            if self.socket is None:
                url = f"{self.host}/ws/products/".replace("http", "ws", 1)
                self.socket = websocket.create_connection(url, timeout=TIMEOUT, origin=self.host)
                record("socket opened")
            self.socket.send('{"type": "ping"}')
            while json.loads(self.socket.recv())["type"] != "pong":
                pass  # an announcement
        except (OSError, websocket.WebSocketException, json.JSONDecodeError) as error:
            if name == "ping":
                record("socket lost")
            if self.socket is not None:
                self.socket.shutdown()
                self.socket = None
            late = isinstance(error, TimeoutError | websocket.WebSocketTimeoutException)
            record(name, time.perf_counter() - started, "socket: no answer in time" if late else "socket: connection")
        else:
            record(name, time.perf_counter() - started)
