"""SecurityMiddleware: the headers, and the redirect to https."""

from django.http import HttpRequest, HttpResponse
from equivalence.client import case, form, get
from equivalence.views import MODES, in_both_modes

BEHIND_A_PROXY = {"X-Forwarded-Proto": "https"}


def strict(request: HttpRequest) -> HttpResponse:
    """Respond with the view's own security headers."""
    headers = {
        "Strict-Transport-Security": "max-age=1",
        "X-Content-Type-Options": "sniff",
        "Referrer-Policy": "origin",
        "Cross-Origin-Opener-Policy": "unsafe-none",
    }
    return HttpResponse("strict", headers=headers)


urlpatterns = in_both_modes("strict/", strict)

cases = [
    *(case(f"the defaults, /{mode}", get(f"/{mode}plain/", scheme="https")) for mode in MODES),
    *(
        case(f"HSTS over {scheme}", get("/async/plain/", scheme=scheme), SECURE_HSTS_SECONDS=60)
        for scheme in ("http", "https")
    ),
    case(
        "HSTS behind a proxy",
        get("/async/plain/", headers=BEHIND_A_PROXY),
        SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
        SECURE_HSTS_SECONDS=60,
        SECURE_HSTS_INCLUDE_SUBDOMAINS=True,
        SECURE_HSTS_PRELOAD=True,
    ),
    case("HSTS behind an untrusted proxy", get("/async/plain/", headers=BEHIND_A_PROXY), SECURE_HSTS_SECONDS=60),
    *(
        case(f"a view with its own headers, /{mode}", get(f"/{mode}strict/", scheme="https"), SECURE_HSTS_SECONDS=60)
        for mode in MODES
    ),
    case(
        "all headers off",
        get("/async/plain/"),
        SECURE_CONTENT_TYPE_NOSNIFF=False,
        SECURE_REFERRER_POLICY=None,
        SECURE_CROSS_ORIGIN_OPENER_POLICY=None,
    ),
    case("several referrer policies", get("/plain/"), SECURE_REFERRER_POLICY=["origin", "same-origin"]),
    case("redirect to https", get("/async/plain/?a=1"), SECURE_SSL_REDIRECT=True),
    case("redirect a form to https", form("/plain/", {"a": "1"}), SECURE_SSL_REDIRECT=True),
    case("no redirect of https", get("/async/plain/", scheme="https"), SECURE_SSL_REDIRECT=True),
    case("redirect to a host", get("/plain/"), SECURE_SSL_REDIRECT=True, SECURE_SSL_HOST="secure.example.com"),
    case("redirect exempt", get("/async/plain/"), SECURE_SSL_REDIRECT=True, SECURE_REDIRECT_EXEMPT=["^async/"]),
    case("redirect from a wrong host", get("/plain/", headers={"Host": "evil.test"}), SECURE_SSL_REDIRECT=True),
]
