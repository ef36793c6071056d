"""The contract of a rendered service, checked by a client over real connections.

`check_contract` requests every endpoint that a combination of answers promises, and those that it must not have.
"""

import html
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import websockets.exceptions
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from devtools.browser import Browser
from devtools.commands import TIMEOUT
from devtools.matrix import Answers
from devtools.suppliers import HANG_DURATION

ORIGIN_REFUSED = 403
# A constant of its own, so that a test of the checks can shorten it.
MESSAGE_TIMEOUT = TIMEOUT  # seconds


def check_contract(url: str, answers: Answers, project_name: str = "Async Django Service") -> None:
    """Check that the service at a URL keeps its contract. Raises AssertionError if it does not."""
    with Browser(url) as visitor, Browser(url) as admin:
        admin.log_in()
        check_page(visitor, project_name)
        check_health(visitor, answers)
        check_admin(visitor, admin)
        check_request_id(visitor, answers)
        if answers["use_async_views"]:
            check_reading(visitor)
            check_writing(visitor, admin)
            check_quotes(visitor, admin)
            check_export(visitor)
        else:
            assert visitor.get("/api/products/").status_code == 404
        if answers["use_async_views"] and answers["use_orm_wrappers"]:
            check_wrappers(visitor, admin)
        else:
            assert visitor.get("/api/users/count/").status_code == 404
        if answers["use_channels"]:
            check_sockets(url, admin, answers)
        else:
            check_no_sockets(url)


def check_page(visitor: Browser, project_name: str) -> None:
    response = visitor.get("/")
    assert response.status_code == 200
    assert f"<h1>{html.escape(project_name)}</h1>" in response.text
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    stylesheet = re.search(r'href="(/static/catalog/style[^"]*\.css)"', response.text)
    assert stylesheet, response.text
    served = visitor.get(stylesheet[1])
    assert (served.status_code, served.headers["Content-Type"].split(";")[0]) == (200, "text/css")
    assert visitor.get("/nowhere").status_code == 404
    unknown = visitor.get("/api/nowhere/", headers={"Accept": "text/html"})
    assert (unknown.status_code, unknown.json()) == (404, {"error": "There is nothing at /api/nowhere/."})
    assert visitor.get("/", headers={"Host": "evil.example"}).status_code == 400


def check_health(visitor: Browser, answers: Answers) -> None:
    # A probe addresses the process by its IP address.
    assert visitor.get("/health/live", headers={"Host": "10.1.2.3:8000"}).json() == {"status": "ok"}
    ready = visitor.get("/health/ready")
    names = ["database"] + ["channel_layer"] * answers["use_channels"]
    assert (ready.status_code, ready.json()) == (200, {"status": "ok", "dependencies": dict.fromkeys(names, "ok")})


def check_admin(visitor: Browser, admin: Browser) -> None:
    assert visitor.get("/admin/").headers["Location"] == "/admin/login/?next=/admin/"
    page = admin.get("/admin/")
    assert page.status_code == 200
    stylesheet = re.search(r'href="(/static/admin/css/base[^"]*\.css)"', page.text)
    assert stylesheet
    assert visitor.get(stylesheet[1]).status_code == 200
    assert "ada" in admin.get("/admin/accounts/user/").text


def check_request_id(visitor: Browser, answers: Answers) -> None:
    # The path does not exist, so the log has a line about the request.
    headers = visitor.get("/nowhere", headers={"X-Request-ID": "sent-by-the-proxy"}).headers
    if answers["use_async_middleware"]:
        assert headers["X-Request-ID"] == "sent-by-the-proxy"
        assert re.fullmatch(r"total;dur=\d+\.\d", headers["Server-Timing"])
        assert re.fullmatch(r"[0-9a-f]{32}", visitor.get("/health/live").headers["X-Request-ID"])
    else:
        assert not {"X-Request-ID", "Server-Timing"} & set(headers)


def add_product(admin: Browser, **fields: Any) -> dict[str, Any]:
    """Add a product with the API; return it."""
    response = admin.call("/api/products/", json={"price": "12.50", "stock": 3} | fields)
    assert response.status_code == 201, response.text
    product: dict[str, Any] = response.json()
    return product


def check_reading(visitor: Browser) -> None:
    assert visitor.get("/api/products/").json() == {"products": [], "next": None}
    assert visitor.get("/api/products/404/").status_code == 404
    assert visitor.put("/api/products/").status_code in {403, 405}


def check_writing(visitor: Browser, admin: Browser) -> None:
    chair = add_product(admin, name="Chair")
    assert (chair["name"], chair["price"], chair["stock"]) == ("Chair", "12.50", 3)
    assert visitor.get(f"/api/products/{chair['id']}/").json() == chair
    assert visitor.get("/api/products/").json()["products"] == [chair]

    refused = admin.post("/api/products/", json={"name": "Table"}, headers={"Accept": "text/html"})
    assert (refused.status_code, list(refused.json())) == (403, ["error"]), "no CSRF token"
    assert visitor.get("/admin/login/").status_code == 200  # brings a CSRF token
    assert visitor.call("/api/products/", json={"name": "Table"}).status_code == 401

    refused = admin.call("/api/products/", json={"name": "Chair", "price": "1"})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["name"])
    refused = admin.call("/api/products/", json={"name": "Table", "price": "-1"})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["price"])
    refused = admin.call("/api/products/", content=b'{"name": "Table",\n"price":}')
    assert (refused.status_code, "line 2" in refused.json()["error"]) == (400, True)
    assert admin.call("/api/products/", content=b" " * 3_000_000).status_code == 413
    assert visitor.get("/api/products/").json()["products"] == [chair]


def check_quotes(visitor: Browser, admin: Browser) -> None:
    product = add_product(admin, name="Stool & table")
    started = time.monotonic()
    quotes = visitor.get(f"/api/products/{product['id']}/quotes/").json()["quotes"]
    took = time.monotonic() - started
    answered = {httpx.URL(quote["supplier"]).path: quote.get("price", quote.get("error")) for quote in quotes}
    assert answered == {
        "/good": "13.50",
        "/slow": "13.50",
        "/hanging": "timeout",
        "/broken": "response without a price",
        "/failing": "HTTP status 500",
        "/": "unreachable",
    }
    assert took < HANG_DURATION / 2, "the service waited for the hanging supplier"
    assert visitor.get("/api/products/404/quotes/").status_code == 404


def check_export(visitor: Browser) -> None:
    listed = visitor.get("/api/products/").json()["products"]
    response = visitor.get("/api/products/export/")
    assert response.headers["Content-Type"] == "application/x-ndjson"
    assert [json.loads(line) for line in response.text.splitlines()] == listed
    with visitor.stream("GET", "/api/products/export/") as response:
        next(response.iter_raw())  # then disconnect


def check_wrappers(visitor: Browser, admin: Browser) -> None:
    assert visitor.get("/api/users/count/").status_code == 401
    assert admin.get("/api/users/count/").json() == {"count": 1}
    path = f"/api/products/{add_product(admin, name='Last one', stock=1)['id']}/reserve/"
    assert admin.call(path, json={"quantity": 2}).status_code == 409
    with ThreadPoolExecutor(2) as buyers:
        statuses = sorted(buyers.map(lambda _: admin.call(path, json={"quantity": 1}).status_code, range(2)))
    assert statuses == [200, 409], "two buyers, one piece"
    assert admin.call("/api/products/404/reserve/", json={"quantity": 1}).status_code == 404


def open_socket(url: str, path: str, origin: str | None = None) -> ClientConnection:
    """Open a WebSocket. Its origin is that of the service unless another one is given."""
    page = Origin(origin or url)
    return connect(url.replace("http", "ws", 1) + path, origin=page, open_timeout=TIMEOUT, close_timeout=TIMEOUT)


def receive_message(socket: ClientConnection) -> dict[str, Any]:
    """Return the next message of a socket. Raises TimeoutError after MESSAGE_TIMEOUT."""
    message: dict[str, Any] = json.loads(socket.recv(timeout=MESSAGE_TIMEOUT))
    return message


def check_ping(url: str) -> None:
    """Check that the product feed answers a ping."""
    with open_socket(url, "/ws/products/") as socket:
        socket.send('{"type": "ping"}')
        assert receive_message(socket) == {"type": "pong"}


def add_product_in_admin(admin: Browser, name: str) -> None:
    """Add a product in the admin, which the service announces to its sockets."""
    response = admin.submit("/admin/catalog/product/add/", name=name, price="1.00", stock="2")
    assert response.status_code == 302, response.text


def check_sockets(url: str, admin: Browser, answers: Answers) -> None:
    check_ping(url)
    with open_socket(url, "/ws/products/") as first, open_socket(url, "/ws/products/") as second:
        for frame in ("{", "null", '{"type": "dance"}', b"\x00\xff"):
            first.send(frame)
            assert receive_message(first)["type"] == "error"
        add_product_in_admin(admin, "Announced")
        if answers["use_async_views"]:
            add_product(admin, name="Announced too")
        for socket in (first, second):
            event = receive_message(socket)
            assert (event["type"], event["product"]["name"]) == ("product.saved", "Announced")
            if answers["use_async_views"]:
                assert receive_message(socket)["product"]["name"] == "Announced too"
    for path, origin in (("/ws/products/", "http://evil.example"), ("/ws/nowhere/", url)):
        with pytest.raises(websockets.exceptions.InvalidStatus) as refusal:
            open_socket(url, path, origin)
        assert refusal.value.response.status_code == ORIGIN_REFUSED


def check_no_sockets(url: str) -> None:
    with pytest.raises(websockets.exceptions.InvalidStatus) as refusal:
        open_socket(url, "/ws/products/")
    assert refusal.value.response.status_code in {403, 404}
