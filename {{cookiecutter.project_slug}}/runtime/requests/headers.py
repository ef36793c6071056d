"""Refuses requests before Django sees them, most of them by their headers alone."""

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
    """Refuses a request with an HTTP status before Django sees it.

    The message is for the client. `reason` replaces it in the log.
    """

    def __init__(self, status: int, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason or message


def check_headers(path: str, http_version: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Raise RequestRefusedError for a request with bad headers. Their names are in lower case.

    The status is 400 without exactly one Host (HTTP/1.1), and 413 for a Content-Length above REQUEST_MAX_SIZE. A Host
    that is not in ALLOWED_HOSTS is a 400 if a body follows, so that the server never sends `100 Continue` for it.
    Without a body, Django's own middleware refuses such a Host.
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
    # A server may add an empty Host to a request without one.
    if len(hosts) > 1 or (http_version == "1.1" and not any(hosts)):
        raise RequestRefusedError(400, "A request needs exactly one Host header.")
    if length != b"0":
        has_body = True
        # Servers refuse a length that is not a number. Python refuses to convert thousands of digits.
        if length.isdigit():
            check_size(int(length[:18]))
    if has_body and hosts:
        check_host(path, hosts[0], forwarded)


def logged_refusal(refused: RequestRefusedError, request: HttpRequest) -> HttpResponse:
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


def storage_error(error: OSError) -> RequestRefusedError:
    """Return the 503 for a body that cannot be written to a temporary file."""
    return RequestRefusedError(
        503,
        "The body cannot be stored. Try again in a moment.",
        f"cannot store a body of more than {settings.FILE_UPLOAD_MAX_MEMORY_SIZE} bytes: {error}."
        " Provide a writable temporary directory with free space (TMPDIR, or /tmp).",
    )


def check_size(size: int) -> None:
    """Raise RequestRefusedError (413) for a body of more than REQUEST_MAX_SIZE bytes."""
    if size > settings.REQUEST_MAX_SIZE:
        raise RequestRefusedError(413, f"The body is longer than {settings.REQUEST_MAX_SIZE} bytes.")


def check_host(path: str, host: bytes, forwarded: list[bytes]) -> None:
    """Raise RequestRefusedError (400) for a Host that is not in ALLOWED_HOSTS. Health endpoints accept any Host."""
    request = HttpRequest()
    request.META["HTTP_HOST"] = host.decode("latin-1")
    if forwarded:
        request.META["HTTP_X_FORWARDED_HOST"] = b",".join(forwarded).decode("latin-1")
    try:
        request.get_host()
    except DisallowedHost as error:
        prefix = (settings.FORCE_SCRIPT_NAME or "").rstrip("/")
        if not accepts_any_host(path.removeprefix(prefix)):
            raise RequestRefusedError(400, "The Host header is not allowed.", str(error)) from error


def accepts_any_host(path: str) -> bool:
    """Tell whether a path leads to a health endpoint. Probes address a process by its IP, not by a host name."""
    try:
        return resolve(path).func in (health.live, health.ready)
    except Resolver404:
        return False
