"""The order of middleware: action each one gets at its place, and how one of another kind affects its neighbours."""

from typing import Any

from equivalence.client import Case, Request, case, form, get
from equivalence.fixtures import LOGGED_IN, SECRET
from equivalence.settings import EVERY, USUAL

RECORDING = "equivalence.middleware.Recording"
INTERFERING = "equivalence.middleware.Interfering"
UNUSED = "equivalence.middleware.Unused"
KINDS = ("synchronous", "asynchronous", "either")
PLACES = range(len(EVERY) + 1)

urlpatterns: list[Any] = []

# A recorder before, between and after Django's middleware.
RECORDED = [RECORDING, *(name for middleware in EVERY for name in (middleware, RECORDING))]
# Requests that make every middleware do something.
BUSY = [
    get("/async/sessions/write/", cookies={"sessionid": LOGGED_IN}),
    get("/csrf/rotate/"),
    get("/async/messages/add/?size=1500"),
    get("/messages/show/"),
    form("/async/accounts/in/", {"name": "ada"}, cookies={"csrftoken": SECRET}),
    form("/accounts/in/", {"name": "ada", "csrfmiddlewaretoken": SECRET}, cookies={"csrftoken": SECRET}),
    get("/async/template/"),
    get("/common/slash"),
]


def at(place: int, *names: str) -> list[str]:
    """Return Django's middleware with others inserted at a place."""
    return [*EVERY[:place], *names, *EVERY[place:]]


def interfered(place: int, hook: str, action: str) -> Case:
    """Return a case in which a middleware at a place interferes with a request."""
    request = get("/async/messages/add/?size=1500", headers={"X-Interfere": f"{hook}: {action}"})
    return case(f"{action} in {hook} at place {place}", request, MIDDLEWARE=at(place, INTERFERING))


def of_kind(kind: str, place: int, request: Request) -> Case:
    """Return a case with a middleware of a kind at a place."""
    return case(
        f"{kind} at place {place}, {request.path}", request, MIDDLEWARE=at(place, f"equivalence.middleware.{kind}")
    )


cases = [
    *(case(f"{request.method} {request.path} at each place", request, MIDDLEWARE=RECORDED) for request in BUSY),
    *(
        interfered(place, hook, action)
        for place in PLACES
        for hook in ("process_request", "process_view", "process_response")
        for action in ("answer", "ValueError")
    ),
    *(
        of_kind(kind, place, request)
        for kind in KINDS
        for place in PLACES
        for request in (
            get("/async/messages/add/?size=1500"),
            form("/plain/", {"a": "1"}, cookies={"csrftoken": SECRET}),
        )
        if kind == "synchronous" or place in (0, len(EVERY) // 2, len(EVERY))
    ),
    case(
        "every kind in turn",
        *BUSY,
        MIDDLEWARE=[
            name
            for place, middleware in enumerate(USUAL)
            for name in (f"equivalence.middleware.{KINDS[place % 3]}", middleware)
        ],
    ),
    case("in the opposite order", *BUSY, MIDDLEWARE=USUAL[::-1]),
    case("each twice", *BUSY, MIDDLEWARE=[name for middleware in USUAL for name in (middleware, middleware)]),
    case("unused middleware", get("/async/plain/"), MIDDLEWARE=at(3, UNUSED)),
    *(
        case(
            f"only {middleware.rpartition('.')[2]}",
            get("/async/plain/"),
            get("/plain/"),
            get("/nowhere"),
            MIDDLEWARE=[middleware],
        )
        for middleware in EVERY
    ),
    *(
        case(
            f"all but {middleware.rpartition('.')[2]}",
            *BUSY[:4],
            MIDDLEWARE=[other for other in EVERY if other != middleware],
        )
        for middleware in EVERY
    ),
]
