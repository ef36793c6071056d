"""CommonMiddleware: slashes, hosts, user agents and the length of the content."""

import re

from django.http import HttpRequest, HttpResponse
from django.views.decorators.common import no_append_slash
from equivalence.client import case, form, get
from equivalence.subjects.modes import plain
from equivalence.views import MODES, in_both_modes


def long(request: HttpRequest) -> HttpResponse:
    """Respond with a wrong Content-Length from the view."""
    return HttpResponse("long", headers={"Content-Length": "3"})


urlpatterns = [
    *in_both_modes("common/slash/", plain),
    *in_both_modes("common/exempt/", no_append_slash(plain)),
    *in_both_modes("common/long/", long),
    *in_both_modes("common/bare", plain),
]

cases = [
    *(
        case(f"{name}, /{mode}", get(f"/{mode}common/{route}"))
        for mode in MODES
        for name, route in (
            ("a slash is missing", "slash"),
            ("a slash is missing before a query", "slash?a=1&b=%C3%A9"),
            ("a slash is missing and not required", "exempt"),
            ("a slash too many", "bare/"),
            ("no slash is wanted", "bare"),
            ("a length that is set", "long/"),
        )
    ),
    case("no slashes are appended", get("/common/slash"), APPEND_SLASH=False),
    case("a slash is missing from a path that is not found", get("/nowhere")),
    case("slashes at the start", get("//example.org/common/slash")),
    case("a form without a slash", form("/common/slash", {"a": "1"})),
    case("a form without a slash, in development", form("/common/slash", {"a": "1"}), DEBUG=True),
    case("a page without a slash, in development", get("/common/slash"), DEBUG=True),
    case("a page that is not found, in development", get("/nowhere/"), DEBUG=True),
    case("www", get("/async/plain/?a=1"), PREPEND_WWW=True),
    case("www and a slash", get("/async/plain"), PREPEND_WWW=True),
    case("www is there", get("/async/plain/", headers={"Host": "www.example.com"}), PREPEND_WWW=True),
    case("www over https", get("/nowhere", scheme="https"), PREPEND_WWW=True),
    *(
        case(
            f"a user agent that {name}",
            get("/async/plain/", headers={"User-Agent": agent}),
            DISALLOWED_USER_AGENTS=[re.compile("robot")],
        )
        for name, agent in (("is refused", "a robot"), ("is welcome", "a human"))
    ),
    *(
        case(
            f"a wrong host{', in development' * debug}",
            get("/async/plain/", headers={"Host": "evil.test"}),
            DEBUG=debug,
        )
        for debug in (False, True)
    ),
    case("an impossible host", get("/async/plain/", headers={"Host": "evil test/"})),
    case("a host with a port", get("/common/slash", headers={"Host": "example.com:8000"})),
    case(
        "a host behind a proxy",
        get("/async/plain", headers={"X-Forwarded-Host": "shop.example.com"}),
        USE_X_FORWARDED_HOST=True,
        PREPEND_WWW=True,
    ),
]
