"""Requests that are refused before Django sees them, most of them by their headers alone."""

from collections.abc import Iterable

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve
from django.utils.log import log_response

from runtime.conf import conf
from runtime.requests import health
from runtime.requests.errors import refusal


class RequestRefusedError(Exception):
    """A request that is refused before Django sees it, and the HTTP status that says so.

    The message is for the client; `reason` is for the log, where it differs.
    """

    def __init__(self, status: int, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason or message


def check_headers(path: str, http_version: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Raise RequestRefusedError for a request that is refused by its headers alone; their names are in lower case.

    400 for HTTP/1.1 without exactly one Host, and 413 for a Content-Length of more than REQUEST_MAX_SIZE. 400 for a
    Host that is not in ALLOWED_HOSTS, if a body follows: it must not be asked for (`100 Continue`). Without a body,
    Django's own middleware refuses such a Host.
    """
    hosts, forwarded, length, has_body = [], [], b"0", False
    for name, value in headers:
        if name == b"host":
            hosts.append(value)
        elif name == b"content-length":
            length = value
        elif name == b"transfer-encoding":
            has_body = True
        elif name == b"x-forwarded-host":
            forwarded.append(value)
    # A server may add an empty one where there is none.
    if len(hosts) > 1 or (http_version == "1.1" and not any(hosts)):
        raise RequestRefusedError(400, "A request needs exactly one Host header.")
    if length != b"0":
        has_body = True
        # Servers refuse anything but digits. Python refuses to convert thousands of them.
        if length.isdigit():
            check_size(int(length[:18]))
    if has_body and hosts:
        check_host(path, hosts[0], forwarded)


def answer_refused(refused: RequestRefusedError, request: HttpRequest) -> HttpResponse:
    """Return the response to a refused request, and log the reason in one line."""
    response = refusal(refused.status, str(refused), request)
    if refused.status == 503:
        response["Retry-After"] = str(conf.STORAGE_RETRY_AFTER)
    log_response(
        "%s: %s: %s",
        response.reason_phrase,
        request.path,
        refused.reason,
        response=response,
        request=request,
        level="warning",
    )
    return response


def cannot_store(error: OSError) -> RequestRefusedError:
    """Return the error for a body that a temporary file cannot take."""
    return RequestRefusedError(
        503,
        "The body cannot be stored. Try again in a moment.",
        f"cannot store a body of more than {settings.FILE_UPLOAD_MAX_MEMORY_SIZE} bytes: {error}."
        " Provide a writable temporary directory with free space (TMPDIR, or /tmp).",
    )


def check_size(size: int) -> None:
    """Raise RequestRefusedError for a body of so many bytes, if that is too many."""
    if size > settings.REQUEST_MAX_SIZE:
        raise RequestRefusedError(413, f"The body is longer than {settings.REQUEST_MAX_SIZE} bytes.")


def check_host(path: str, host: bytes, forwarded: list[bytes]) -> None:
    """Raise RequestRefusedError for a Host that Django does not allow, unless it does not matter for the path."""
    request = HttpRequest()
    request.META["HTTP_HOST"] = host.decode("latin-1")
    if forwarded:
        request.META["HTTP_X_FORWARDED_HOST"] = b",".join(forwarded).decode("latin-1")
    try:
        request.get_host()
    except DisallowedHost as error:
        prefix = (settings.FORCE_SCRIPT_NAME or "").rstrip("/")
        if not answers_any_host(path.removeprefix(prefix)):
            raise RequestRefusedError(400, "The Host header is not allowed.", str(error)) from error


def answers_any_host(path: str) -> bool:
    """Tell whether a path leads to a health endpoint: probes address a process by its IP, not by the site's name."""
    try:
        return resolve(path).func in (health.live, health.ready)
    except Resolver404:
        return False
