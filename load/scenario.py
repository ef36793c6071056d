"""What Locust does to a service: visitors who read, buyers who log in and write, sockets that listen and ping.

Each of them waits for its answer, thinks, and asks again: however the service fares, it is asked no more than that.
Every answer, error and lost socket becomes a line of JSON in the file that LOAD_RECORDS names.
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

# Products that are there from the beginning: their ids are 1 to this.
PRODUCTS = int(os.environ["LOAD_PRODUCTS"])
USERNAME, PASSWORD = os.environ["LOAD_USERNAME"], os.environ["LOAD_PASSWORD"]
# Seconds that anybody waits for anything.
PATIENCE = 15

records = Path(os.environ["LOAD_RECORDS"]).open("a", buffering=1, encoding="utf-8")  # noqa: SIM115 (until the end)


def record(name: str, seconds: float = 0, error: str | None = None) -> None:
    """Write down what has just ended, how long it took, and what was wrong with it."""
    line = {"at": time.time(), "name": name, "seconds": seconds, "error": error}
    records.write(json.dumps(line) + "\n")


@events.request.add_listener
def record_request(name: str, response_time: float, response: FastResponse, exception: Any, **_: Any) -> None:
    """Write down a request, and the kind of error that it ended with."""
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
def record_mistake(exception: BaseException, **_: Any) -> None:
    """Write down what a user stumbled over, which Locust itself would merely log."""
    record("scenario", error=f"{type(exception).__name__} in the scenario")


class Client(FastHttpUser):
    """Somebody with a connection of their own."""

    abstract = True
    network_timeout = connection_timeout = PATIENCE

    def get(self, name: str, path: str, holds: Callable[[FastResponse], bool]) -> None:
        """Ask for a path; an answer of 200 for which something does not hold is wrong."""
        with self.client.get(path, name=name, catch_response=True) as response:
            if response.status_code == 200 and not holds(response):
                response.failure("wrong answer")


class Visitor(Client):
    """Somebody who only reads."""

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
    """Somebody who logs in, adds products and reserves some."""

    fixed_count = 4
    wait_time = between(0.5, 1.5)

    def cookies(self) -> dict[str, str]:
        """Return the cookies that the service has given."""
        return {cookie.name: cookie.value or "" for cookie in self.client.cookiejar}

    def post(self, name: str, path: str, status: int, **request: Any) -> None:
        """Post with the token that makes the request the service's own; success with another status is wrong.

        The secure cookies are ours to send: there is no TLS here, and a proxy before a service would have ended it.
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
        """Begin a session, if the service lets us."""
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
    """A WebSocket that stays open, listens, and pings once a second."""

    fixed_count = 20
    wait_time = constant(1)
    socket: websocket.WebSocket | None = None

    @task
    def ping(self) -> None:
        name, started = "ping" if self.socket else "connect", time.perf_counter()
        try:
            if self.socket is None:
                url = f"{self.host}/ws/products/".replace("http", "ws", 1)
                self.socket = websocket.create_connection(url, timeout=PATIENCE, origin=self.host)
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
