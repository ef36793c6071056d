"""A client of a service that keeps cookies and sends CSRF tokens as a browser does."""

from collections.abc import Callable
from http.cookies import SimpleCookie
from typing import Any

import httpx

from devtools.commands import TIMEOUT

USERNAME, PASSWORD = "ada", "correct horse battery staple"
# The names of the cookies in production.
SESSION_COOKIE, CSRF_COOKIE = "__Host-sessionid", "__Host-csrftoken"


class Browser(httpx.Client):
    """A client that sends every cookie back, as a browser behind the service's TLS proxy does.

    httpx itself sends no secure cookies over a connection without TLS. The client connects from `address`, if given.
    """

    def __init__(self, url: str, address: str | None = None) -> None:
        self.kept: dict[str, str] = {}
        hooks: dict[str, list[Callable[..., Any]]] = {"request": [self.send_cookies], "response": [self.keep_cookies]}
        transport = httpx.HTTPTransport(local_address=address)
        super().__init__(base_url=url, timeout=TIMEOUT, event_hooks=hooks, transport=transport)

    def send_cookies(self, request: httpx.Request) -> None:
        """Add the cookies to a request."""
        request.headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.kept.items())

    def keep_cookies(self, response: httpx.Response) -> None:
        """Keep the cookies that a response sets."""
        for header in response.headers.get_list("Set-Cookie"):
            self.kept |= {name: morsel.value for name, morsel in SimpleCookie(header).items()}

    @property
    def csrf_token(self) -> str:
        """The CSRF token. With DEBUG its cookie has no prefix."""
        return self.kept.get(CSRF_COOKIE) or self.kept["csrftoken"]

    def submit(self, path: str, **fields: str) -> httpx.Response:
        """Post a form with the CSRF token."""
        return self.post(path, data=fields | {"csrfmiddlewaretoken": self.csrf_token})

    def call(self, path: str, **request: Any) -> httpx.Response:
        """Post to the API with the CSRF token."""
        return self.post(path, headers={"X-CSRFToken": self.csrf_token}, **request)

    def log_in(self) -> None:
        """Log in as the superuser. Raises AssertionError if the service refuses."""
        assert self.get("/admin/login/").status_code == 200
        response = self.submit("/admin/login/", username=USERNAME, password=PASSWORD)
        assert response.status_code == 302, response.text
