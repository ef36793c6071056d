"""Middleware of the site's own: what watches, what meddles, and what each of Django's kinds looks like."""

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


class Watching(MiddlewareMixin):
    """Notes what it sees of each request and response at its place."""

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


class Meddling(MiddlewareMixin):
    """Does what the header `X-Meddle` says, such as `process_view: answer`: answer, nothing, or raise an error."""

    def process_request(self, request: HttpRequest) -> Response | None:
        return meddle(request, "process_request")

    def process_view(self, request: HttpRequest, view: Any, arguments: Any, keywords: Any) -> Response | None:
        return meddle(request, "process_view")

    def process_template_response(self, request: HttpRequest, response: Response) -> Response | None:
        return meddle(request, "process_template_response", response)

    def process_exception(self, request: HttpRequest, exception: Exception) -> Response | None:
        return meddle(request, "process_exception")

    def process_response(self, request: HttpRequest, response: Response) -> Response | None:
        return meddle(request, "process_response", response)


def meddle(request: HttpRequest, hook: str, otherwise: Response | None = None) -> Response | None:
    """Do what a request wants to be done in one of the hooks."""
    where, _, what = request.headers.get("X-Meddle", "").partition(": ")
    if where != hook:
        return otherwise
    note(f"meddling: {what}")
    if what == "nothing":
        return None
    if what == "answer":
        return HttpResponse(f"{hook} has answered")
    raise ERRORS[what](f"raised by {hook}")


class Unused(MiddlewareMixin):
    """Is not used."""

    def __init__(self, get_response: GetResponse) -> None:
        raise MiddlewareNotUsed("it is of no use")


@sync_only_middleware
def synchronous(get_response: Callable[[HttpRequest], Response]) -> Callable[[HttpRequest], Response]:
    """Note what it sees, with a synchronous path only."""

    def middleware(request: HttpRequest) -> Response:
        note("synchronous request")
        response = get_response(request)
        note(f"synchronous response {response.status_code}")
        return response

    return middleware


@async_only_middleware
def asynchronous(get_response: Callable[[HttpRequest], Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
    """Note what it sees, with an asynchronous path only."""

    async def middleware(request: HttpRequest) -> Response:
        note("asynchronous request")
        response = await get_response(request)
        note(f"asynchronous response {response.status_code}")
        return response

    return middleware


@sync_and_async_middleware
def either(get_response: GetResponse) -> GetResponse:
    """Note what it sees, with the path that is asked for."""
    return asynchronous(get_response) if iscoroutinefunction(get_response) else synchronous(get_response)
