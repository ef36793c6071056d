"""Views of every kind: functions and classes, synchronous and asynchronous, with every method."""

import threading
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.views import View
from django.views.decorators.http import require_POST
from equivalence.client import Request, case, get
from equivalence.recorder import note
from equivalence.settings import EVERY
from equivalence.views import ASYNC, MODES, in_both_modes

# Belongs to one thread, as a library's cache or connection may.
kept = threading.local()


def plain(request: HttpRequest) -> HttpResponse:
    """Answer."""
    note("view")
    return HttpResponse("plain")


def echo(request: HttpRequest, number: int) -> JsonResponse:
    """Answer with what was asked."""
    return JsonResponse({"number": number, "get": request.GET, "path": request.path, "info": request.path_info})


def template(request: HttpRequest) -> TemplateResponse:
    """Answer with a template that is still to be rendered."""
    response = TemplateResponse(request, "name.html", {"name": "Ada"})
    response.add_post_render_callback(lambda rendered: note(f"rendered {rendered.content!r}"))
    return response


def keep(request: HttpRequest) -> HttpResponse:
    """Answer with what a synchronous middleware has kept in this thread."""
    return HttpResponse(getattr(kept, "value", "nothing was kept in this thread"))


class Keeping:
    """Keeps something for the view in the thread that both run in."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Keep it until there is a response."""
        kept.value = request.path
        try:
            return self.get_response(request)
        finally:
            del kept.value


class Synchronous(View):
    """Has methods that are functions."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        return HttpResponse("a class")


class Asynchronous(View):
    """Has methods that are coroutine functions."""

    async def get(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        return HttpResponse("a class")


urlpatterns = [
    *in_both_modes("plain/", plain),
    *in_both_modes("echo/<int:number>/", echo),
    *in_both_modes("template/", template),
    *in_both_modes("post-only/", require_POST(plain)),
    path("keep/", keep),
    path("class/", Synchronous.as_view()),
    path(f"{ASYNC}class/", Asynchronous.as_view()),
]

cases = [
    *(
        case(f"{method} /{mode}{route}", Request(method, f"/{mode}{route}"), MIDDLEWARE=EVERY)
        for mode in MODES
        for method, route in (
            ("GET", "plain/"),
            ("HEAD", "plain/"),
            ("OPTIONS", "plain/"),
            ("OPTIONS", "class/"),
            ("GET", "class/"),
            ("POST", "class/"),
            ("GET", "post-only/"),
            ("GET", "template/"),
            ("HEAD", "template/"),
            ("GET", "echo/7/?a=1&a=2&b=%C3%A9"),
            ("GET", "echo/seven/"),
        )
    ),
    *(case(f"GET /{mode}plain/ without middleware", get(f"/{mode}plain/"), MIDDLEWARE=[]) for mode in MODES),
    case("a prefix that the server has taken", get("/prefix/echo/7/", root_path="/prefix")),
    case("a prefix that is not there", get("/echo/7/", root_path="/prefix")),
    case("a prefix that is forced", get("/forced/echo/7/"), FORCE_SCRIPT_NAME="/forced"),
    case(
        "one thread for all of a request",
        get("/keep/"),
        MIDDLEWARE=[*EVERY, "equivalence.subjects.modes.Keeping"],
    ),
    case("a lower-case method", Request("get", "/async/plain/")),
    case("an unknown method", Request("BREW", "/async/plain/", headers={"Content-Type": "coffee/arabica"})),
    case("what is not HTTP", Request("GET", "/plain/", kind="websocket")),
]
