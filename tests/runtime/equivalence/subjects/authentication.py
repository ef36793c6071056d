"""AuthenticationMiddleware: logging in and out, and pages for users only."""

from django.contrib.auth import aauthenticate, alogin, alogout, authenticate, login, logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from equivalence.client import Request, case, form, get
from equivalence.fixtures import LOGGED_IN, NAME, OUTDATED, PASSWORD, SECRET
from equivalence.settings import AUTHENTICATION, SESSIONS, USUAL
from equivalence.subjects.modes import plain
from equivalence.views import ASYNC, MODES, asynchronous, in_both_modes

LOGIN_REQUIRED = [*USUAL, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
REMOTE_USER = [*USUAL, "django.contrib.auth.middleware.RemoteUserMiddleware"]


def log_in(request: HttpRequest) -> HttpResponse:
    """Log in."""
    user = authenticate(request, username=request.POST["name"], password=request.POST["password"])
    if user is None:
        return HttpResponse("unknown", status=401)
    login(request, user)
    return HttpResponse(f"welcome {request.user}")


async def alog_in(request: HttpRequest) -> HttpResponse:
    """Log in."""
    user = await aauthenticate(request, username=request.POST["name"], password=request.POST["password"])
    if user is None:
        return HttpResponse("unknown", status=401)
    await alogin(request, user)
    return HttpResponse(f"welcome {await request.auser()}")


def log_out(request: HttpRequest) -> HttpResponse:
    """Log out."""
    logout(request)
    return HttpResponse(f"bye {request.user}")


async def alog_out(request: HttpRequest) -> HttpResponse:
    """Log out."""
    await alogout(request)
    return HttpResponse(f"bye {await request.auser()}")


def show_user(request: HttpRequest) -> HttpResponse:
    """Respond with the user. In an asynchronous view this raises an error if it needs a query."""
    return HttpResponse(f"{request.user.username} {request.user.is_authenticated}")


async def ashow_user(request: HttpRequest) -> HttpResponse:
    """Respond with the user."""
    user = await request.auser()
    return HttpResponse(f"{user.username} {user.is_authenticated}")


def show_user_in_a_template(request: HttpRequest) -> HttpResponse:
    """Respond with the user."""
    return render(request, "user.html")


urlpatterns = [
    path("accounts/in/", log_in),
    path(f"{ASYNC}accounts/in/", alog_in),
    path("accounts/out/", log_out),
    path(f"{ASYNC}accounts/out/", alog_out),
    *in_both_modes("accounts/who/", show_user),
    path(f"{ASYNC}accounts/awho/", ashow_user),
    *in_both_modes("accounts/template/", show_user_in_a_template),
    path("accounts/private/", login_required(plain)),
    path(f"{ASYNC}accounts/private/", login_required(asynchronous(plain))),
]

VISITORS = {
    "anonymous": {},
    "a user": {"sessionid": LOGGED_IN},
    "a user whose password has changed": {"sessionid": OUTDATED},
}
CSRF = {"csrftoken": SECRET}


def login_request(mode: str, password: str, session: str | None = None) -> Request:
    """Return a request that logs in."""
    fields = {"name": NAME, "password": password, "csrfmiddlewaretoken": SECRET}
    return form(f"/{mode}accounts/in/", fields, cookies=CSRF | ({"sessionid": session} if session else {}))


cases = [
    *(
        case(f"{visitor}, /{mode}accounts/{route}/", get(f"/{mode}accounts/{route}/", cookies=cookies))
        for mode in MODES
        for visitor, cookies in VISITORS.items()
        for route in ("who", "template", "private", "out", "awho")
        if mode or route != "awho"
    ),
    *(
        case(
            f"in and out, /{mode}",
            login_request(mode, PASSWORD),
            get(f"/{mode}accounts/private/"),
            get(f"/{mode}accounts/out/"),
            get(f"/{mode}accounts/private/"),
        )
        for mode in MODES
    ),
    *(case(f"a wrong password, /{mode}", login_request(mode, "no")) for mode in MODES),
    *(case(f"in again, /{mode}", login_request(mode, PASSWORD, LOGGED_IN)) for mode in MODES),
    *(
        case(
            f"everything is private, {visitor}, /{mode}plain/",
            get(f"/{mode}plain/", cookies=cookies),
            MIDDLEWARE=LOGIN_REQUIRED,
        )
        for mode in MODES
        for visitor, cookies in VISITORS.items()
    ),
    *(
        case(
            f"named by the server, {visitor}",
            get("/async/accounts/awho/", cookies=cookies, headers={"Remote-User": "grace"}),
            get("/async/accounts/awho/"),
            MIDDLEWARE=REMOTE_USER,
            AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.RemoteUserBackend"],
        )
        for visitor, cookies in VISITORS.items()
    ),
    case("without sessions", get("/async/accounts/awho/"), MIDDLEWARE=[AUTHENTICATION]),
    case("after the sessions it needs", get("/plain/"), MIDDLEWARE=[AUTHENTICATION, SESSIONS], DEBUG=True),
]
