"""The site's own middleware: one that records, one that interferes, and one of each kind that Django supports."""

from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from typing import Any

from django.core.exceptions import BadRequest, MiddlewareNotUsed, PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware, sync_and_async_middleware, sync_only_middleware
from django.utils.deprecation import MiddlewareMixin
from equivalence.recorder import describe, note

ERRORS: dict[str, type[Exception]] = {
    error.__name__: error
    for error in (
        BadRequest,
        Http404,
        MultiPartParserError,
        PermissionDenied,
        SuspiciousOperation,
        TimeoutError,
        ValueError,
    )
}

type Response = HttpResponseBase
type GetResponse = Callable[[HttpRequest], Any]


class Recording(MiddlewareMixin):
    """Notes each request and response as they are at its place."""

    def process_request(self, request: HttpRequest) -> None:
        request.depth = getattr(request, "depth", 0) + 1
        note(f"request {request.depth} {sorted(vars(request))}")

    def process_view(self, request: HttpRequest, view: Any, arguments: Any, keywords: Any) -> None:
        note(f"view {view.__name__} {arguments} {keywords}")

    def process_template_response(self, request: HttpRequest, response: Any) -> Response:
        note(f"template response {response.template_name} {response.is_rendered}")
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        note(f"exception {describe(exception)}")

    def process_response(self, request: HttpRequest, response: Response) -> Response:
        note(f"response {request.depth} {response.status_code} {response.headers} {response.cookies.output()}")
        request.depth -= 1
        return response


class Interfering(MiddlewareMixin):
    """Obeys the header `X-Interfere`, such as `process_view: answer`: responds, does nothing or raises an error."""

    def process_request(self, request: HttpRequest) -> Response | None:
        return interfere(request, "process_request")

    def process_view(self, request: HttpRequest, view: Any, arguments: Any, keywords: Any) -> Response | None:
        return interfere(request, "process_view")

    def process_template_response(self, request: HttpRequest, response: Response) -> Response | None:
        return interfere(request, "process_template_response", response)

    def process_exception(self, request: HttpRequest, exception: Exception) -> Response | None:
        return interfere(request, "process_exception")

    def process_response(self, request: HttpRequest, response: Response) -> Response | None:
        return interfere(request, "process_response", response)


def interfere(request: HttpRequest, hook: str, otherwise: Response | None = None) -> Response | None:
    """Obey the header `X-Interfere` if it names this hook."""
    wanted_hook, _, action = request.headers.get("X-Interfere", "").partition(": ")
    if wanted_hook != hook:
        return otherwise
    note(f"interfering: {action}")
    if action == "nothing":
        return None
    if action == "answer":
        return HttpResponse(f"{hook} has answered")
    raise ERRORS[action](f"raised by {hook}")


class Unused(MiddlewareMixin):
    """Raises MiddlewareNotUsed."""

    def __init__(self, get_response: GetResponse) -> None:
        raise MiddlewareNotUsed("not used")


@sync_only_middleware
def synchronous(get_response: Callable[[HttpRequest], Response]) -> Callable[[HttpRequest], Response]:
    """Note requests and responses, with a synchronous path only."""

    def middleware(request: HttpRequest) -> Response:
        note("synchronous request")
        response = get_response(request)
        note(f"synchronous response {response.status_code}")
        return response

    return middleware


@async_only_middleware
def asynchronous(get_response: Callable[[HttpRequest], Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
    """Note requests and responses, with an asynchronous path only."""

    async def middleware(request: HttpRequest) -> Response:
        note("asynchronous request")
        response = await get_response(request)
        note(f"asynchronous response {response.status_code}")
        return response

    return middleware


@sync_and_async_middleware
def either(get_response: GetResponse) -> GetResponse:
    """Note requests and responses, with a path for each mode."""
    return asynchronous(get_response) if iscoroutinefunction(get_response) else synchronous(get_response)
