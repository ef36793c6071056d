"""SessionMiddleware: when a session is saved or deleted, and the attributes of its cookie."""

from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path
from equivalence.client import Request, case, get
from equivalence.fixtures import EXPIRED, KNOWN
from equivalence.views import ASYNC, MODES, in_both_modes


def look(request: HttpRequest) -> HttpResponse:
    """Respond without reading the session."""
    return HttpResponse(f"{request.session.session_key}")


def read(request: HttpRequest) -> HttpResponse:
    """Respond with a value of the session."""
    return HttpResponse(f"{request.session.get('seen')} {request.session.is_empty()}")


async def aread(request: HttpRequest) -> HttpResponse:
    """Respond with a value of the session."""
    return HttpResponse(f"{await request.session.aget('seen')} {request.session.is_empty()}")


def write(request: HttpRequest, status: int = 200) -> HttpResponse:
    """Store a value in the session."""
    request.session["seen"] = 2
    return HttpResponse("written", status=status)


async def awrite(request: HttpRequest, status: int = 200) -> HttpResponse:
    """Store a value in the session."""
    await request.session.aset("seen", 2)
    return HttpResponse("written", status=status)


def mutate(request: HttpRequest) -> HttpResponse:
    """Change a nested value, and mark the session as modified or not."""
    request.session["deep"] = []
    request.session.modified = "marked" in request.GET
    return HttpResponse("mutated")


def fail(request: HttpRequest) -> HttpResponse:
    """Store a value in the session, and raise ValueError."""
    request.session["seen"] = 2
    raise ValueError("after the session was modified")


def empty(request: HttpRequest) -> HttpResponse:
    """Remove every value from the session."""
    request.session.clear()
    return HttpResponse("empty")


def create_and_empty(request: HttpRequest) -> HttpResponse:
    """Store a value in the session and remove it again."""
    request.session["seen"] = 2
    del request.session["seen"]
    return HttpResponse("empty again")


def flush(request: HttpRequest) -> HttpResponse:
    """Delete the session."""
    request.session.flush()
    return HttpResponse("flushed")


async def aflush(request: HttpRequest) -> HttpResponse:
    """Delete the session."""
    await request.session.aflush()
    return HttpResponse("flushed")


def cycle(request: HttpRequest) -> HttpResponse:
    """Give the session another key."""
    request.session.cycle_key()
    return HttpResponse("cycled")


async def acycle(request: HttpRequest) -> HttpResponse:
    """Give the session another key."""
    await request.session.acycle_key()
    return HttpResponse("cycled")


def expire(request: HttpRequest, kind: str) -> HttpResponse:
    """Set when the session expires."""
    expiries: dict[str, Any] = {"browser": 0, "soon": 60, "delta": timedelta(hours=1), "usual": None}
    request.session["seen"] = 2
    request.session.set_expiry(expiries[kind])
    return HttpResponse("expires")


async def aexpire(request: HttpRequest, kind: str) -> HttpResponse:
    """Set when the session expires."""
    expiries: dict[str, Any] = {"browser": 0, "soon": 60, "delta": timedelta(hours=1), "usual": None}
    await request.session.aset("seen", 2)
    await request.session.aset_expiry(expiries[kind])
    return HttpResponse("expires")


def interrupt(request: HttpRequest) -> HttpResponse:
    """Modify a session that another request deletes at the same time."""
    request.session["seen"] = 2
    type(request.session)(request.session.session_key).delete()
    return HttpResponse("interrupted")


async def ainterrupt(request: HttpRequest) -> HttpResponse:
    """Modify a session that another request deletes at the same time."""
    await request.session.aset("seen", 2)
    await type(request.session)(request.session.session_key).adelete()
    return HttpResponse("interrupted")


def replace(request: HttpRequest) -> HttpResponse:
    """Replace the session by a dictionary."""
    request.session = {"seen": 2}
    return HttpResponse("replaced")


def remove(request: HttpRequest) -> HttpResponse:
    """Delete the session attribute of the request."""
    del request.session
    return HttpResponse("removed")


urlpatterns = [
    *in_both_modes("sessions/look/", look),
    path("sessions/read/", read),
    path(f"{ASYNC}sessions/read/", aread),
    path("sessions/write/", write),
    path(f"{ASYNC}sessions/write/", awrite),
    path("sessions/write/<int:status>/", write),
    path(f"{ASYNC}sessions/write/<int:status>/", awrite),
    path("sessions/mutate/", mutate),
    path("sessions/fail/", fail),
    *in_both_modes("sessions/empty/", empty),
    path("sessions/create-and-empty/", create_and_empty),
    path("sessions/flush/", flush),
    path(f"{ASYNC}sessions/flush/", aflush),
    path("sessions/cycle/", cycle),
    path(f"{ASYNC}sessions/cycle/", acycle),
    path("sessions/expire/<kind>/", expire),
    path(f"{ASYNC}sessions/expire/<kind>/", aexpire),
    path("sessions/interrupt/", interrupt),
    path(f"{ASYNC}sessions/interrupt/", ainterrupt),
    *in_both_modes("sessions/replace/", replace),
    *in_both_modes("sessions/remove/", remove),
]

VISITORS = {"no session": {}, "a session": {"sessionid": KNOWN}}
ENGINES = ("cache", "cached_db", "signed_cookies")


def visit(route: str, key: str | None = KNOWN) -> Request:
    """Return a request with a session cookie, or without one."""
    return get(f"/{route}", cookies={"sessionid": key} if key else {})


cases = [
    *(
        case(f"{visitor}, /{mode}sessions/{route}", get(f"/{mode}sessions/{route}", cookies=cookies))
        for mode in MODES
        for visitor, cookies in VISITORS.items()
        for route in (
            "look/",
            "read/",
            "write/",
            "write/404/",
            "write/503/",
            "empty/",
            "flush/",
            "cycle/",
            "expire/browser/",
            "expire/soon/",
            "expire/delta/",
            "expire/usual/",
            "interrupt/",
            "replace/",
            "remove/",
        )
    ),
    *(
        case(f"{name}, /{mode}{route}", visit(f"{mode}{route}", key))
        for mode in MODES
        for route in ("sessions/look/", "sessions/read/", "sessions/write/")
        for name, key in (("an expired key", EXPIRED), ("an unknown key", "x" * 32), ("a short key", "short"))
    ),
    *(
        case(
            f"saved with every request, {name}, /{mode}{route}",
            visit(f"{mode}{route}", key),
            SESSION_SAVE_EVERY_REQUEST=True,
        )
        for mode in MODES
        for route in ("plain/", "sessions/read/")
        for name, key in (("no session", None), ("a session", KNOWN), ("an unknown key", "x" * 32))
    ),
    *(
        case(f"/{route}", visit(route))
        for route in ("sessions/mutate/", "sessions/mutate/?marked", "sessions/fail/", "sessions/create-and-empty/")
    ),
    case("created and emptied", visit("sessions/create-and-empty/", None)),
    case(
        "a session from start to end",
        *(visit(f"async/sessions/{verb}/", None) for verb in ("write", "read", "flush", "read")),
    ),
    case("interrupted, in development", visit("sessions/interrupt/"), DEBUG=True),
    case("until the browser is closed", visit("async/sessions/write/"), SESSION_EXPIRE_AT_BROWSER_CLOSE=True),
    case(
        "a cookie with every option",
        visit("async/sessions/write/", None),
        SESSION_COOKIE_NAME="__Secure-session",
        SESSION_COOKIE_DOMAIN="example.com",
        SESSION_COOKIE_PATH="/async",
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_HTTPONLY=False,
        SESSION_COOKIE_SAMESITE="None",
    ),
    *(
        case(
            f"kept in {engine}, /{mode}",
            *(visit(f"{mode}sessions/{verb}/", None) for verb in ("write", "read", "empty", "cycle", "flush")),
            SESSION_ENGINE=f"django.contrib.sessions.backends.{engine}",
        )
        for mode in MODES
        for engine in ENGINES
    ),
    case("without the middleware", visit("sessions/look/"), MIDDLEWARE=[]),
]
