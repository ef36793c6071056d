"""The chain: what each middleware sees at its place, and what one of another kind does to those around it."""

from typing import Any

from equivalence.client import Case, Request, case, form, get
from equivalence.fixtures import LOGGED_IN, SECRET
from equivalence.settings import EVERY, USUAL

WATCHING = "equivalence.middleware.Watching"
MEDDLING = "equivalence.middleware.Meddling"
UNUSED = "equivalence.middleware.Unused"
KINDS = ("synchronous", "asynchronous", "either")
PLACES = range(len(EVERY) + 1)

urlpatterns: list[Any] = []

# A watcher before, between and after Django's.
WATCHED = [WATCHING, *(name for middleware in EVERY for name in (middleware, WATCHING))]
# What makes all of them do something.
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
    """Return Django's middleware with others at a place among them."""
    return [*EVERY[:place], *names, *EVERY[place:]]


def meddled(place: int, hook: str, what: str) -> Case:
    """Return a case in which a middleware at a place meddles with a request for a page."""
    request = get("/async/messages/add/?size=1500", headers={"X-Meddle": f"{hook}: {what}"})
    return case(f"{what} in {hook} at place {place}", request, MIDDLEWARE=at(place, MEDDLING))


def of_kind(kind: str, place: int, request: Request) -> Case:
    """Return a case in which a middleware of some kind is at a place."""
    return case(
        f"{kind} at place {place}, {request.path}", request, MIDDLEWARE=at(place, f"equivalence.middleware.{kind}")
    )


cases = [
    *(case(f"what each sees of {request.method} {request.path}", request, MIDDLEWARE=WATCHED) for request in BUSY),
    *(
        meddled(place, hook, what)
        for place in PLACES
        for hook in ("process_request", "process_view", "process_response")
        for what in ("answer", "ValueError")
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
        "every kind in turns",
        *BUSY,
        MIDDLEWARE=[
            name
            for place, middleware in enumerate(USUAL)
            for name in (f"equivalence.middleware.{KINDS[place % 3]}", middleware)
        ],
    ),
    case("in the opposite order", *BUSY, MIDDLEWARE=USUAL[::-1]),
    case("each twice", *BUSY, MIDDLEWARE=[name for middleware in USUAL for name in (middleware, middleware)]),
    case("one that is not used", get("/async/plain/"), MIDDLEWARE=at(3, UNUSED)),
    *(
        case(
            f"nothing but {middleware.rpartition('.')[2]}",
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
