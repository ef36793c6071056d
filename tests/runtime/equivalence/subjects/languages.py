"""LocaleMiddleware: the language of a request, and the redirect to the path with its prefix."""

from django.http import HttpRequest, HttpResponse
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _
from equivalence.client import case, get
from equivalence.settings import COMMON, EVERY, LOCALE
from equivalence.views import MODES, in_both_modes

GERMAN = {"Accept-Language": "de;q=0.9, en;q=0.8"}
PREFIXED = {"ROOT_URLCONF": "equivalence.prefixed", "MIDDLEWARE": EVERY}
PARTLY_PREFIXED = {"ROOT_URLCONF": "equivalence.partly_prefixed", "MIDDLEWARE": EVERY}


def greet(request: HttpRequest) -> HttpResponse:
    """Respond in the language of the request."""
    return HttpResponse(f"{get_language()} {request.LANGUAGE_CODE} {_('Yes')}")


def insist(request: HttpRequest) -> HttpResponse:
    """Respond in the view's own language."""
    with override("fr"):
        return HttpResponse(_("Yes"), headers={"Content-Language": "fr"})


urlpatterns = [*in_both_modes("greet/", greet), *in_both_modes("insist/", insist)]

cases = [
    *(
        case(f"{name}, /{mode}", get(f"/{mode}greet/", headers=headers, cookies=cookies), MIDDLEWARE=EVERY)
        for mode in MODES
        for name, headers, cookies in (
            ("the site's language", {}, {}),
            ("the browser's language", GERMAN, {}),
            ("the cookie's language", GERMAN, {"django_language": "fr"}),
            ("an unknown language", {"Accept-Language": "xx"}, {}),
        )
    ),
    case("languages one after the other", get("/greet/", headers=GERMAN), get("/async/greet/"), MIDDLEWARE=EVERY),
    case("a view with its own language", get("/async/insist/", headers=GERMAN), MIDDLEWARE=EVERY),
    case("a page that is not found", get("/nowhere/", headers=GERMAN), MIDDLEWARE=EVERY),
    case("only the middleware", get("/greet/", headers=GERMAN), MIDDLEWARE=[LOCALE]),
    *(
        case(f"{name}, {settings['ROOT_URLCONF']}", get(path, headers=GERMAN, root_path=root), **settings)
        for settings in (PREFIXED, PARTLY_PREFIXED)
        for name, path, root in (
            ("no prefix", "/greet/", ""),
            ("no prefix and no slash", "/greet", ""),
            ("a prefix", "/fr/greet/", ""),
            ("a prefix and no slash", "/fr/greet", ""),
            ("a wrong prefix", "/xx/greet/", ""),
            ("a path without a language", "/anywhere/", ""),
            ("a path that is not found", "/nowhere/", ""),
            ("below the server's root path", "/prefix/greet/?a=1", "/prefix"),
        )
    ),
    case("before the slash is appended", get("/greet", headers=GERMAN), **PREFIXED | {"MIDDLEWARE": [LOCALE, COMMON]}),
    case("after the slash is appended", get("/greet", headers=GERMAN), **PREFIXED | {"MIDDLEWARE": [COMMON, LOCALE]}),
]
