"""The requests of a client, and its behaviour during the response."""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any
from urllib.parse import urlencode

BOUNDARY = "boundary"


class Client(Enum):
    """The behaviour of a client, and of the server between client and application, during a response."""

    NORMAL = auto()
    """The client reads the whole response."""
    DISCONNECTS_IN_BODY = auto()
    """The client disconnects before it has sent the whole body."""
    DISCONNECTS = auto()
    """The client disconnects when the view calls `trigger_client`."""
    SENDS_TOO_MUCH = auto()
    """The client sends more than its body, against the protocol, when the view calls `trigger_client`."""
    CONNECTION_BREAKS = auto()
    """The server's `receive` raises OSError when the view calls `trigger_client`."""
    REQUEST_CANCELLED = auto()
    """The server cancels the request when the view calls `trigger_client`."""
    SLOW = auto()
    """The client reads each message of the response late."""
    SEND_FAILS = auto()
    """The server's `send` raises OSError for every message after the start of the response."""


@dataclass(frozen=True)
class Request:
    """A request, and the client that makes it."""

    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    scheme: str = "http"
    kind: str = "http"
    root_path: str = ""
    # The body arrives in pieces of this many bytes.
    piece: int = 2**16
    client: Client = Client.NORMAL

    def scope(self, cookies: dict[str, str]) -> dict[str, Any]:
        """Return the ASGI scope, including cookies from earlier responses."""
        path, _, query = self.path.partition("?")
        length = {"Content-Length": str(len(self.body))} if self.body else {}
        headers = {"Host": "example.com"} | length | self.headers
        if cookies | self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in (cookies | self.cookies).items())
        return {
            "type": self.kind,
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": self.scheme,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode("latin-1"),
            "root_path": self.root_path,
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
            "client": ("192.0.2.1", 50000),
            "server": ("example.com", 443 if self.scheme == "https" else 80),
        }

    def messages(self) -> list[dict[str, Any]]:
        """Return the ASGI messages with the body."""
        pieces = [self.body[start : start + self.piece] for start in range(0, len(self.body), self.piece)] or [b""]
        messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
        if self.client is Client.DISCONNECTS_IN_BODY:
            return [*messages, {"type": "http.disconnect"}]
        messages[-1]["more_body"] = False
        return messages


@dataclass(frozen=True)
class Case:
    """Requests that are made one after the other, and the settings of the site for them."""

    name: str
    requests: list[Request]
    settings: dict[str, Any] = field(default_factory=dict)
    # Each returns a context manager that connects a receiver of a signal during the case.
    receivers: list[Any] = field(default_factory=list)


def get(path: str, **options: Any) -> Request:
    """Return a GET request."""
    return Request("GET", path, **options)


def post(path: str, body: bytes = b"", content_type: str = "text/plain", **options: Any) -> Request:
    """Return a POST request with a body."""
    headers = {"Content-Type": content_type} | options.pop("headers", {})
    return Request("POST", path, body, headers, **options)


def form(path: str, fields: dict[str, str], **options: Any) -> Request:
    """Return a POST request with a form."""
    return post(path, urlencode(fields).encode(), "application/x-www-form-urlencoded", **options)


def multipart(path: str, fields: dict[str, str], file: bytes | None = None, **options: Any) -> Request:
    """Return a POST request with a form that may have a file in it."""
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}' for name, value in fields.items()]
    if file is not None:
        head = 'Content-Disposition: form-data; name="file"; filename="file.txt"\r\nContent-Type: text/plain\r\n\r\n'
        parts.append(head + file.decode())
    body = "".join(f"--{BOUNDARY}\r\n{part}\r\n" for part in parts) + f"--{BOUNDARY}--\r\n"
    return post(path, body.encode(), f"multipart/form-data; boundary={BOUNDARY}", **options)


def case(name: str, *requests: Request, receivers: list[Any] | None = None, **settings: Any) -> Case:
    """Return a case."""
    return Case(name, list(requests), settings, receivers or [])
