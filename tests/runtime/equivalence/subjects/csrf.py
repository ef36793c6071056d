"""CsrfViewMiddleware: the requests that it refuses, its messages, and the tokens that it sets."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token, rotate_token
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt, csrf_protect, ensure_csrf_cookie, requires_csrf_token
from equivalence.client import BOUNDARY, Request, case, form, get, multipart, post
from equivalence.fixtures import KNOWN, SECRET
from equivalence.settings import CSRF, USUAL
from equivalence.views import MODES, in_both_modes

COOKIE = {"csrftoken": SECRET}
SESSION = {"sessionid": KNOWN}
# A masked secret. A token is a mask, followed by the secret with the mask added letter by letter.
MASKED = "a" * len(SECRET) + SECRET


def accept(request: HttpRequest) -> HttpResponse:
    """Respond with the fields and files of the form."""
    return HttpResponse(f"{dict(request.POST)} {[file.read() for file in request.FILES.values()]}")


def give(request: HttpRequest) -> HttpResponse:
    """Respond with a token."""
    return HttpResponse(get_token(request))


def rotate(request: HttpRequest) -> HttpResponse:
    """Respond with a new token."""
    rotate_token(request)
    return HttpResponse(get_token(request))


def show_form(request: HttpRequest) -> HttpResponse:
    """Respond with a form that contains a token."""
    return render(request, "form.html")


def refuse(request: HttpRequest, reason: str) -> HttpResponse:
    """Respond with the result of a query in place of Django's page."""
    from django.contrib.auth.models import User

    return HttpResponse(f"{User.objects.count()} users: {reason}", status=403)


def arefuse(request: HttpRequest, reason: str) -> Any:
    """Return a coroutine, which Django does not support."""

    async def answer() -> HttpResponse:
        return HttpResponse(reason, status=403)

    coroutine = answer()
    coroutine.close()
    return coroutine


def fail(request: HttpRequest, reason: str) -> HttpResponse:
    """Raise LookupError."""
    raise LookupError(reason)


urlpatterns = [
    *in_both_modes("csrf/accept/", accept),
    *in_both_modes("csrf/exempt/", csrf_exempt(accept)),
    *in_both_modes("csrf/give/", give),
    *in_both_modes("csrf/rotate/", rotate),
    *in_both_modes("csrf/form/", show_form),
    *in_both_modes("csrf/ensured/", ensure_csrf_cookie(accept)),
    *in_both_modes("csrf/required/", requires_csrf_token(show_form)),
    *in_both_modes("csrf/protected/", csrf_protect(accept)),
]

TOKENS = {"right": SECRET, "masked": MASKED, "wrong": "w" * 32, "short": "short", "strange": "-" * 32, "empty": ""}
ORIGINS = {
    "the site's origin": "http://example.com",
    "another scheme": "https://example.com",
    "a trusted origin": "https://trusted.test",
    "a trusted subdomain": "https://shop.wild.test",
    "a trusted subdomain over http": "http://shop.wild.test",
    "no origin": "null",
    "an impossible origin": "https://[",
}
REFERERS = {
    "no referer": None,
    "the site's referer": "https://example.com/form/",
    "an insecure referer": "http://example.com/form/",
    "another site's referer": "https://evil.test/form/",
    "a trusted referer": "https://trusted.test/form/",
    "half a referer": "example.com",
    "an impossible referer": "https://[",
}
TRUSTED = ["https://trusted.test", "https://*.wild.test"]


def send(path: str = "/async/csrf/accept/", token: str | None = SECRET, **options: Any) -> Request:
    """Return a request with a form and a cookie."""
    fields = {"a": "1"} | ({} if token is None else {"csrfmiddlewaretoken": token})
    return form(path, fields, cookies=options.pop("cookies", COOKIE), **options)


def upload(path: str = "/async/csrf/accept/", token: str = SECRET, **options: Any) -> Request:
    """Return a request with a form, a file and a cookie."""
    return multipart(path, {"a": "1", "csrfmiddlewaretoken": token}, b"a file", cookies=COOKIE, **options)


def malformed(content_type: str, body: str, headers: dict[str, str] | None = None) -> Request:
    """Return a request with a form that Django cannot parse."""
    return post("/csrf/accept/", body.encode(), content_type, cookies=COOKIE, headers=headers or {})


UPLOAD = f"multipart/form-data; boundary={BOUNDARY}"
BASE64 = "Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\n!"
MALFORMED = {
    "no boundary": malformed("multipart/form-data", "x"),
    "a strange boundary": malformed("multipart/form-data; boundary=é", "x"),
    "a wrong length": malformed(UPLOAD, "x", {"Content-Length": "-1"}),
    "a bad encoding": malformed(UPLOAD, f"--{BOUNDARY}\r\n{BASE64}\r\n--{BOUNDARY}--\r\n"),
    "half a part": malformed(UPLOAD, f"--{BOUNDARY}\r\nContent"),
    "a form of another charset": malformed("application/x-www-form-urlencoded; charset=latin-1", "a=1"),
}

cases = [
    *(
        case(f"{method} is safe, /{mode}", Request(method, f"/{mode}csrf/accept/"))
        for mode in MODES
        for method in ("GET", "HEAD", "OPTIONS", "TRACE")
    ),
    *(case(f"{method} is not safe", Request(method, "/async/csrf/accept/")) for method in ("PUT", "PATCH", "DELETE")),
    *(
        case(f"a {name} token in a form, /{mode}", send(f"/{mode}csrf/accept/", token))
        for mode in MODES
        for name, token in TOKENS.items()
    ),
    *(
        case(f"a {name} token in an upload, /{mode}", upload(f"/{mode}csrf/accept/", token))
        for mode in MODES
        for name, token in TOKENS.items()
    ),
    *(
        case(
            f"a {name} token in a header, {method}",
            Request(method, "/async/csrf/accept/", cookies=COOKIE, headers={"X-CSRFToken": token}),
        )
        for method in ("POST", "PUT", "DELETE")
        for name, token in TOKENS.items()
        if method == "POST" or name == "masked"
    ),
    case(
        "a token in a header of another name",
        post("/async/csrf/accept/", cookies=COOKIE, headers={"X-Token": SECRET}),
        CSRF_HEADER_NAME="HTTP_X_TOKEN",
    ),
    *(case(f"no cookie, /{mode}", send(f"/{mode}csrf/accept/", cookies={})) for mode in MODES),
    *(case(f"no token, /{mode}", send(f"/{mode}csrf/accept/", token=None)) for mode in MODES),
    *(case(f"a {name} cookie", send(cookies={"csrftoken": token})) for name, token in TOKENS.items()),
    *(
        case(f"a {name} cookie and a view that gives a token", get("/async/csrf/give/", cookies={"csrftoken": token}))
        for name, token in TOKENS.items()
    ),
    *(case(name, send(headers={"Origin": origin}), CSRF_TRUSTED_ORIGINS=TRUSTED) for name, origin in ORIGINS.items()),
    *(
        case(
            f"{name} over https",
            send(scheme="https", headers={"Referer": referer} if referer else {}),
            CSRF_TRUSTED_ORIGINS=TRUSTED,
        )
        for name, referer in REFERERS.items()
    ),
    *(
        case(
            f"{name} with a cookie domain",
            send(scheme="https", headers={"Referer": referer} if referer else {}),
            CSRF_COOKIE_DOMAIN=".example.com",
        )
        for name, referer in REFERERS.items()
    ),
    *(
        case(f"exempt, {name}, /{mode}", request)
        for mode in MODES
        for name, request in (
            ("form", send(f"/{mode}csrf/exempt/", None)),
            ("upload", upload(f"/{mode}csrf/exempt/", "")),
        )
    ),
    *(
        case(f"{name}, /{mode}", get(f"/{mode}csrf/{name}/"), get(f"/{mode}csrf/{name}/"))
        for mode in MODES
        for name in ("give", "rotate", "form", "ensured", "required", "protected")
    ),
    *(case(f"protected once more, {name}", send("/csrf/protected/", token)) for name, token in TOKENS.items()),
    *(
        case(f"protected by the decorator only, {name}", send("/csrf/protected/", token), MIDDLEWARE=[])
        for name, token in TOKENS.items()
    ),
    *(
        case(f"malformed: {name}{', in development' * debug}", request, DEBUG=debug)
        for name, request in MALFORMED.items()
        for debug in (False, True)
    ),
    *(
        case(f"{name}, {request.path}", request, **settings)
        for path in ("/async/csrf/accept/", "/csrf/exempt/")
        for name, request, settings in (
            ("too many fields", send(path), {"DATA_UPLOAD_MAX_NUMBER_FIELDS": 1}),
            ("too many fields of an upload", upload(path), {"DATA_UPLOAD_MAX_NUMBER_FIELDS": 1}),
            ("too many files", upload(path), {"DATA_UPLOAD_MAX_NUMBER_FILES": 0}),
            ("too much", send(path), {"DATA_UPLOAD_MAX_MEMORY_SIZE": 3}),
            ("too much of an upload", upload(path), {"DATA_UPLOAD_MAX_MEMORY_SIZE": 3}),
            ("a file on disk", upload(path), {"FILE_UPLOAD_MAX_MEMORY_SIZE": 1}),
        )
    ),
    *(
        case(
            f"refused by a view that {name}",
            send(token=None),
            upload(token="w" * 32),
            CSRF_FAILURE_VIEW=f"equivalence.subjects.csrf.{view}",
        )
        for name, view in (
            ("does a query", "refuse"),
            ("is asynchronous", "arefuse"),
            ("fails", "fail"),
            ("is not there", "nowhere"),
        )
    ),
    case("refused in development", send(token=None), DEBUG=True),
    case(
        "a cookie with every option",
        get("/async/csrf/give/"),
        CSRF_COOKIE_NAME="__Secure-token",
        CSRF_COOKIE_AGE=60,
        CSRF_COOKIE_DOMAIN="example.com",
        CSRF_COOKIE_PATH="/async",
        CSRF_COOKIE_SECURE=True,
        CSRF_COOKIE_HTTPONLY=True,
        CSRF_COOKIE_SAMESITE="Strict",
    ),
    *(
        case(f"in the session: {name}", *requests, CSRF_USE_SESSIONS=True)
        for name, requests in (
            ("accepted", [send("/csrf/accept/", cookies=SESSION), send(cookies=SESSION)]),
            ("refused", [send(token="w" * 32, cookies=SESSION), send(token=None, cookies=SESSION)]),
            ("uploaded", [multipart("/csrf/accept/", {"csrfmiddlewaretoken": SECRET}, b"a file", cookies=SESSION)]),
            ("no session", [send(cookies={}), send("/csrf/accept/", cookies={})]),
            (
                "an unknown session",
                [send(cookies={"sessionid": "x" * 32}), get("/csrf/give/", cookies={"sessionid": "x" * 32})],
            ),
            ("given without a session", [get("/csrf/give/"), get("/csrf/give/"), get("/csrf/rotate/")]),
            (
                "given without a session, asynchronously",
                [get("/async/csrf/give/"), get("/async/csrf/give/"), get("/async/csrf/rotate/")],
            ),
            (
                "given with a session",
                [get("/csrf/give/", cookies=SESSION), get("/csrf/rotate/"), get("/async/csrf/rotate/")],
            ),
            ("not used", [get("/async/plain/"), get("/async/plain/", cookies=SESSION)]),
            ("exempt", [send("/async/csrf/exempt/", None, cookies=SESSION)]),
        )
    ),
    case(
        "in a session that is kept in a cookie",
        get("/csrf/give/"),
        get("/async/csrf/give/"),
        CSRF_USE_SESSIONS=True,
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    ),
    case("in the session, without sessions", get("/async/plain/"), send(), MIDDLEWARE=[CSRF], CSRF_USE_SESSIONS=True),
    *(
        case(f"twice in the list, {name}", send(token=token), MIDDLEWARE=[CSRF, *USUAL])
        for name, token in TOKENS.items()
        if name in {"right", "wrong"}
    ),
    case("in pieces", send(piece=5), upload(piece=7)),
]
