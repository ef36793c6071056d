"""MessageMiddleware: messages that are added, stored and shown."""

from django.contrib import messages
from django.contrib.messages.storage import default_storage
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy
from equivalence.client import case, get
from equivalence.fixtures import KNOWN
from equivalence.settings import MESSAGES
from equivalence.views import MODES, in_both_modes

STORAGES = ("fallback.FallbackStorage", "session.SessionStorage", "cookie.CookieStorage")
SESSION = {"sessionid": KNOWN}


def add(request: HttpRequest) -> HttpResponse:
    """Add messages of `size` letters each."""
    size = int(request.GET.get("size", "5"))
    messages.info(request, "i" * size)
    messages.error(request, "e" * size, extra_tags="extra")
    messages.debug(request, "below the level that is recorded")
    messages.success(request, gettext_lazy("Yes"))
    return HttpResponse("added", status=int(request.GET.get("status", "200")))


def show(request: HttpRequest) -> HttpResponse:
    """Respond with the messages."""
    return render(request, "messages.html")


def show_and_add(request: HttpRequest) -> HttpResponse:
    """Respond with the messages, and add one."""
    response = render(request, "messages.html")
    messages.warning(request, "afterwards")
    return response


def count(request: HttpRequest) -> HttpResponse:
    """Respond with the number of messages, without showing them."""
    return HttpResponse(str(len(messages.get_messages(request))))


def keep(request: HttpRequest) -> HttpResponse:
    """Respond with the messages, and keep them."""
    response = render(request, "messages.html")
    messages.get_messages(request).used = False
    return response


def set_level(request: HttpRequest) -> HttpResponse:
    """Record messages of a level below the default one."""
    before = messages.get_level(request)
    messages.set_level(request, messages.DEBUG)
    messages.debug(request, "recorded")
    return HttpResponse(f"{before} {messages.get_level(request)} {bool(messages.get_messages(request))}")


def replace(request: HttpRequest) -> HttpResponse:
    """Replace the message storage of the request."""
    request._messages = default_storage(request)
    messages.info(request, "others")
    return HttpResponse("replaced")


def remove(request: HttpRequest) -> HttpResponse:
    """Delete the message storage of the request."""
    del request._messages
    messages.info(request, "lost", fail_silently=True)
    return HttpResponse("removed")


urlpatterns = [
    *in_both_modes("messages/add/", add),
    *in_both_modes("messages/show/", show),
    *in_both_modes("messages/show-and-add/", show_and_add),
    *in_both_modes("messages/count/", count),
    *in_both_modes("messages/keep/", keep),
    *in_both_modes("messages/set-level/", set_level),
    *in_both_modes("messages/replace/", replace),
    *in_both_modes("messages/remove/", remove),
]

VISITS = {
    "none": ["plain/", "messages/show/"],
    "added and shown": ["messages/add/", "messages/show/", "messages/show/"],
    "added twice": ["messages/add/", "messages/add/", "messages/count/", "messages/show/"],
    "too much for a cookie": ["messages/add/?size=1500", "messages/count/", "messages/show/", "messages/show/"],
    "far too much for a cookie": [
        "messages/add/?size=3000",
        "messages/add/",
        "messages/show-and-add/",
        "messages/show/",
    ],
    "kept": ["messages/add/", "messages/keep/", "messages/show/"],
    "of another level": ["messages/set-level/", "messages/show/"],
    "replaced": ["messages/replace/", "messages/show/", "messages/remove/"],
    "added to an error": ["messages/add/?status=404", "messages/add/?status=500", "messages/show/"],
}

cases = [
    *(
        case(
            f"{name}, {storage}, /{mode}",
            *(get(f"/{mode}{route}") for route in routes),
            MESSAGE_STORAGE=f"django.contrib.messages.storage.{storage}",
        )
        for mode in MODES
        for storage in STORAGES
        for name, routes in VISITS.items()
    ),
    *(
        case(
            f"in a session that is there, {storage}",
            get("/messages/add/?size=1500", cookies=SESSION),
            get("/messages/show/"),
            MESSAGE_STORAGE=f"django.contrib.messages.storage.{storage}",
        )
        for storage in STORAGES
    ),
    *(
        case(
            f"more than a cookie holds, in development, /{mode}",
            get(f"/{mode}messages/add/?size=3000"),
            DEBUG=True,
            MESSAGE_STORAGE=f"django.contrib.messages.storage.{STORAGES[2]}",
        )
        for mode in MODES
    ),
    case("another level", get("/async/messages/add/"), get("/messages/show/"), MESSAGE_LEVEL=messages.ERROR),
    *(
        case(
            f"without sessions, {storage}",
            get("/messages/add/?size=3000"),
            MIDDLEWARE=[MESSAGES],
            MESSAGE_STORAGE=f"django.contrib.messages.storage.{storage}",
        )
        for storage in STORAGES
    ),
]
