"""Error responses that the machinery makes itself, for requests that no view has answered."""

from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.module_loading import import_string
from django.views.defaults import ERROR_PAGE_TEMPLATE


def error_response(request: HttpRequest, status: int, message: str) -> HttpResponse:
    """Return `{"error": message}`, or a page with the message for a client that prefers HTML to JSON.

    Below `settings.JSON_ONLY_PATHS` it is always JSON.
    """
    if is_json_only(request) or request.get_preferred_type(["application/json", "text/html"]) != "text/html":
        return JsonResponse({"error": message}, status=status)
    response = HttpResponse(status=status)
    response.content = ERROR_PAGE_TEMPLATE % {"title": f"{status} {response.reason_phrase}", "details": message}
    return response


def is_json_only(request: HttpRequest) -> bool:
    """Tell whether error responses to a request are JSON, whatever the client prefers."""
    prefixes: tuple[str, ...] = getattr(settings, "JSON_ONLY_PATHS", ())
    # A request that is refused early may have no more than its path.
    return (request.path_info or request.path).startswith(prefixes)


def refusal(status: int, message: str, request: HttpRequest | None = None) -> HttpResponse:
    """Return the response to a request that is refused before Django's middleware sees it; it ends the connection.

    `request` may be missing, or have no more than its `META` and `path`: the refusal may come before all of its
    headers. The response has the headers that middleware adds to every response (see `header_middleware`).
    """
    request = request or HttpRequest()
    response = error_response(request, status, message)
    response["Content-Length"] = str(len(response.content))
    response["Connection"] = "close"
    return with_headers(request, response)


def with_headers(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Return a response that passes no middleware, with the headers that middleware adds to every response."""
    for middleware in header_middleware():
        response = middleware.process_response(request, response)
    return response


@cache
def header_middleware() -> list[Any]:
    """Return the middleware that only adds headers, innermost first: each class says `adds_headers = True`."""
    factories = [import_string(path) for path in reversed(settings.MIDDLEWARE)]
    return [factory(HttpResponse) for factory in factories if getattr(factory, "adds_headers", False)]


def as_http1(response: HttpResponse) -> bytes:
    """Return a response as a server sends it by HTTP/1.1."""
    lines = [f"HTTP/1.1 {response.status_code} {response.reason_phrase}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + response.content
