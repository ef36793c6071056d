"""Errors in a view, in a template or in middleware, and the responses to them."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import path
from equivalence.client import Request, case, get
from equivalence.middleware import ERRORS
from equivalence.recorder import note
from equivalence.settings import USUAL
from equivalence.views import MODES, in_both_modes

RECORDING = "equivalence.middleware.Recording"
INTERFERING = "equivalence.middleware.Interfering"


def fail(request: HttpRequest, name: str) -> HttpResponse:
    """Raise the error that the URL names."""
    note(f"view raises {name}")
    raise ERRORS[name](f"raised by the view\n of {request.path}")


def answer(request: HttpRequest, status: int) -> HttpResponse:
    """Respond with a status and, if the query asks for it, with a reason phrase."""
    return HttpResponse("error", status=status, reason="Custom" if "reason" in request.GET else None)


def return_nothing(request: HttpRequest) -> None:
    """Return no response."""


def return_text(request: HttpRequest) -> str:
    """Return a string in place of a response."""
    return "text"


async def coroutine(request: HttpRequest) -> HttpResponse:
    """Respond if awaited."""
    return HttpResponse("awaited")


def return_a_coroutine(request: HttpRequest) -> Any:
    """Return a coroutine that was not awaited."""
    unawaited = coroutine(request)
    unawaited.close()
    return unawaited


def fail_to_render(request: HttpRequest) -> TemplateResponse:
    """Respond with a template that cannot be rendered."""
    return TemplateResponse(request, "nowhere.html")


def fail_in_render(request: HttpRequest) -> TemplateResponse:
    """Respond with a template that raises an error while it is rendered."""

    def name() -> str:
        raise ERRORS[request.GET["error"]]("raised by the template")

    return TemplateResponse(request, "name.html", {"name": name})


def answer_badly(request: HttpRequest) -> HttpResponseBase:
    """Respond with a header that cannot be sent."""
    response = HttpResponse("bad")
    response.headers._store["bad"] = ("Bad", "\u2028")
    return response


urlpatterns = [
    *in_both_modes("errors/fail/<name>/", fail),
    *in_both_modes("errors/answer/<int:status>/", answer),
    *in_both_modes("errors/nothing/", return_nothing),
    *in_both_modes("errors/text/", return_text),
    path("errors/coroutine/", return_a_coroutine),
    path("errors/awaited/", coroutine),
    *in_both_modes("errors/no-template/", fail_to_render),
    *in_both_modes("errors/render/", fail_in_render),
    *in_both_modes("errors/bad-header/", answer_badly),
]


ROUTES = (
    *(f"errors/fail/{name}/" for name in ERRORS),
    "errors/nothing/",
    "errors/text/",
    "errors/no-template/",
    *(f"errors/render/?error={name}" for name in ("ValueError", "Http404", "PermissionDenied")),
    "errors/bad-header/",
)

cases = [
    *(
        case(f"/{mode}{route}", get(f"/{mode}{route}"), MIDDLEWARE=[RECORDING, *USUAL, RECORDING])
        for mode in MODES
        for route in ROUTES
    ),
    *(
        case(f"/{mode}{route}, in development", get(f"/{mode}{route}", headers={"Accept": accepted}), DEBUG=True)
        for mode in MODES
        for route in ROUTES
        for accepted in (("text/html",) if mode else ("text/plain",))
    ),
    *(
        case(f"/{mode}{route}, without middleware", get(f"/{mode}{route}"), MIDDLEWARE=[])
        for mode in MODES
        for route in ROUTES
    ),
    *(
        case(f"/{route}, passed on", get(f"/{route}"), DEBUG_PROPAGATE_EXCEPTIONS=True)
        for route in ("async/errors/fail/ValueError/", "errors/fail/ValueError/", "async/errors/fail/Http404/")
    ),
    *(
        case(
            f"/{route}, failing error handlers",
            get(f"/{route}"),
            ROOT_URLCONF="equivalence.failing_error_handlers",
        )
        for route in (
            "async/errors/fail/Http404/",
            "async/errors/fail/PermissionDenied/",
            "errors/fail/ValueError/",
            "errors/nothing/",
        )
    ),
    *(
        case(f"status {status}, /{mode}{query}", get(f"/{mode}errors/answer/{status}/{query}"))
        for mode in MODES
        for status in (204, 304, 400, 404, 418, 500, 503)
        for query in ("", "?reason")
        if mode or not query
    ),
    case("a coroutine", get("/errors/coroutine/")),
    case("a coroutine, from an asynchronous view", get("/errors/awaited/")),
    *(
        case(
            f"{action} in {hook}, /{route}",
            get(f"/{route}", headers={"X-Interfere": f"{hook}: {action}"}),
            MIDDLEWARE=[RECORDING, *USUAL[:3], INTERFERING, *USUAL[3:], RECORDING],
        )
        for hook in (
            "process_request",
            "process_view",
            "process_template_response",
            "process_exception",
            "process_response",
        )
        for action in ("answer", "nothing", "Http404", "PermissionDenied", "SuspiciousOperation", "ValueError")
        for route in (
            ("async/errors/fail/ValueError/", "errors/render/?error=ValueError")
            if hook == "process_exception"
            else ("async/template/",)
        )
    ),
    case("a path that forges a line of the log", Request("GET", "/no\nwhere/é/")),
]
