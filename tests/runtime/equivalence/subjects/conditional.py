"""ConditionalGetMiddleware, and the decorators that do the same for one view."""

from datetime import UTC, datetime

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.http import http_date
from django.views.decorators.cache import never_cache
from django.views.decorators.http import condition
from equivalence.client import Request, case, get
from equivalence.settings import CONDITIONAL, USUAL
from equivalence.subjects.modes import plain
from equivalence.views import MODES, asynchronous, in_both_modes

CHANGED = datetime(2026, 1, 1, tzinfo=UTC)
MIDDLEWARE = [CONDITIONAL, *USUAL]


def dated(request: HttpRequest) -> HttpResponse:
    """Respond with Last-Modified."""
    response = HttpResponse("dated", headers={"Last-Modified": http_date(CHANGED.timestamp())})
    response.set_cookie("kept", "even if not modified")
    return response


def tagged(request: HttpRequest) -> HttpResponse:
    """Respond with an ETag."""
    return HttpResponse("tagged", headers={"ETag": '"1"'})


conditional = condition(etag_func=lambda request: '"2"', last_modified_func=lambda request: CHANGED)

urlpatterns = [
    *in_both_modes("conditional/dated/", dated),
    *in_both_modes("conditional/tagged/", tagged),
    *in_both_modes("conditional/never-cached/", never_cache(plain)),
    path("conditional/decorated/", conditional(plain)),
    path("async/conditional/decorated/", conditional(asynchronous(plain))),
]

SENT: dict[str, dict[str, str]] = {
    "no condition": {},
    "the same version": {"If-None-Match": '"1"'},
    "the decorator's version": {"If-None-Match": '"2"'},
    "any version": {"If-None-Match": "*"},
    "another version": {"If-None-Match": '"0", W/"3"'},
    "not since": {"If-Modified-Since": http_date(CHANGED.timestamp())},
    "since": {"If-Modified-Since": http_date(0)},
    "a version to change": {"If-Match": '"0"'},
}

cases = [
    *(
        case(f"{name}, /{mode}{route}", get(f"/{mode}{route}", headers=headers), MIDDLEWARE=MIDDLEWARE)
        for mode in MODES
        for route in ("plain/", "conditional/dated/", "conditional/tagged/", "conditional/decorated/")
        for name, headers in SENT.items()
        if mode == "async/" or name == "any version"
    ),
    *(
        case(f"{method} is not conditional", Request(method, "/async/conditional/tagged/"), MIDDLEWARE=MIDDLEWARE)
        for method in ("HEAD", "POST")
    ),
    case("a page that is never cached", get("/async/conditional/never-cached/"), MIDDLEWARE=MIDDLEWARE),
    case("a stream", get("/async/streams/async/"), MIDDLEWARE=MIDDLEWARE),
    case("a page that is not found", get("/nowhere/", headers={"If-None-Match": "*"}), MIDDLEWARE=MIDDLEWARE),
]
