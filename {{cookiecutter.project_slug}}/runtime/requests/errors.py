"""Builds error responses as JSON or HTML, also for requests that never reach Django's middleware."""

from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.module_loading import import_string
from django.views.defaults import ERROR_PAGE_TEMPLATE


def error_response(request: HttpRequest, status: int, message: str) -> HttpResponse:
    """Return `{"error": message}`, or an HTML page for a client that prefers HTML to JSON.

    Below `settings.JSON_ONLY_PATHS` the response is always JSON.
    """
    if is_json_only(request) or request.get_preferred_type(["application/json", "text/html"]) != "text/html":
        return JsonResponse({"error": message}, status=status)
    response = HttpResponse(status=status)
    response.content = ERROR_PAGE_TEMPLATE % {"title": f"{status} {response.reason_phrase}", "details": message}
    return response


def is_json_only(request: HttpRequest) -> bool:
    """Tell whether error responses to a request are always JSON."""
    prefixes: tuple[str, ...] = getattr(settings, "JSON_ONLY_PATHS", ())
    # A request that is refused early may have a path only.
    return (request.path_info or request.path).startswith(prefixes)


def refusal(status: int, message: str, request: HttpRequest | None = None) -> HttpResponse:
    """Return an error response to a request that never reaches Django's middleware. It closes the connection.

    `request` may be missing or have nothing but `META` and `path`, because its headers may be incomplete.
    """
    request = request or HttpRequest()
    response = error_response(request, status, message)
    response["Content-Length"] = str(len(response.content))
    response["Connection"] = "close"
    return add_middleware_headers(request, response)


def add_middleware_headers(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Add the headers that middleware adds to every response, for a response that passes no middleware."""
    for middleware in header_middleware():
        response = middleware.process_response(request, response)
    return response


@cache
def header_middleware() -> list[Any]:
    """Return the middleware whose classes have `adds_headers = True`, innermost first."""
    factories = [import_string(path) for path in reversed(settings.MIDDLEWARE)]
    return [factory(HttpResponse) for factory in factories if getattr(factory, "adds_headers", False)]


def as_http1(response: HttpResponse) -> bytes:
    """Return the bytes of a response in HTTP/1.1."""
    lines = [f"HTTP/1.1 {response.status_code} {response.reason_phrase}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + response.content
