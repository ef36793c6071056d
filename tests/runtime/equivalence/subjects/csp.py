"""ContentSecurityPolicyMiddleware: the policies, the nonce, and the decorators that override them."""

from django.http import HttpRequest, HttpResponse
from django.middleware.csp import get_nonce
from django.shortcuts import render
from django.utils.csp import CSP as KEYWORD
from django.views.decorators.csp import csp_override, csp_report_only_override
from equivalence.client import case, get
from equivalence.settings import CSP, USUAL
from equivalence.subjects.modes import plain
from equivalence.views import MODES, in_both_modes

POLICY = {"default-src": [KEYWORD.SELF], "script-src": [KEYWORD.SELF, KEYWORD.NONCE]}
MIDDLEWARE = [CSP, *USUAL]


def nonce(request: HttpRequest) -> HttpResponse:
    """Use the nonce twice."""
    response = render(request, "nonce.html")
    response.write(str(get_nonce(request)))
    return response


def own(request: HttpRequest) -> HttpResponse:
    """Respond with the view's own policy."""
    return HttpResponse("own", headers={"Content-Security-Policy": "default-src 'none'"})


urlpatterns = [
    *in_both_modes("csp/nonce/", nonce),
    *in_both_modes("csp/own/", own),
    *in_both_modes("csp/overridden/", csp_override({"img-src": [KEYWORD.NONE]})(plain)),
    *in_both_modes("csp/off/", csp_override({})(csp_report_only_override({})(plain))),
]

cases = [
    *(
        case(
            f"{name}, /{mode}{route}",
            get(f"/{mode}{route}"),
            MIDDLEWARE=MIDDLEWARE,
            **dict.fromkeys(settings, POLICY),
        )
        for mode in MODES
        for route in ("plain/", "csp/nonce/", "csp/own/", "csp/overridden/", "csp/off/")
        for name, settings in (
            ("no policy", []),
            ("enforced", ["SECURE_CSP"]),
            ("reported", ["SECURE_CSP_REPORT_ONLY"]),
            ("both", ["SECURE_CSP", "SECURE_CSP_REPORT_ONLY"]),
        )
        if mode == "" or name == "both"
    ),
    case("without the middleware", get("/csp/nonce/"), SECURE_CSP=POLICY),
    case("a page that is not found", get("/nowhere/"), MIDDLEWARE=MIDDLEWARE, SECURE_CSP=POLICY),
]
