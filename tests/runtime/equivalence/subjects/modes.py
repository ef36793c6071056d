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

# Data of one thread, such as a library's cache or connection.
kept = threading.local()


def plain(request: HttpRequest) -> HttpResponse:
    """Respond."""
    note("view")
    return HttpResponse("plain")


def echo(request: HttpRequest, number: int) -> JsonResponse:
    """Respond with the path and the query of the request."""
    return JsonResponse({"number": number, "get": request.GET, "path": request.path, "info": request.path_info})


def template(request: HttpRequest) -> TemplateResponse:
    """Respond with a template that the handler renders."""
    response = TemplateResponse(request, "name.html", {"name": "Ada"})
    response.add_post_render_callback(lambda rendered: note(f"rendered {rendered.content!r}"))
    return response


def keep(request: HttpRequest) -> HttpResponse:
    """Respond with the value that a synchronous middleware stored in this thread."""
    return HttpResponse(getattr(kept, "value", "nothing is stored in this thread"))


class Keeping:
    """Stores a value for the view in the thread in which both run."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Store the value until there is a response."""
        kept.value = request.path
        try:
            return self.get_response(request)
        finally:
            del kept.value


class Synchronous(View):
    """Has methods that are functions."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Respond."""
        return HttpResponse("a class")


class Asynchronous(View):
    """Has methods that are coroutine functions."""

    async def get(self, request: HttpRequest) -> HttpResponse:
        """Respond."""
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
    case("a root path of the server", get("/prefix/echo/7/", root_path="/prefix")),
    case("a root path that the path lacks", get("/echo/7/", root_path="/prefix")),
    case("a forced script name", get("/forced/echo/7/"), FORCE_SCRIPT_NAME="/forced"),
    case(
        "one thread for a whole request",
        get("/keep/"),
        MIDDLEWARE=[*EVERY, "equivalence.subjects.modes.Keeping"],
    ),
    case("a lower-case method", Request("get", "/async/plain/")),
    case("an unknown method", Request("BREW", "/async/plain/", headers={"Content-Type": "coffee/arabica"})),
    case("a scope that is not HTTP", Request("GET", "/plain/", kind="websocket")),
]
