"""Request bodies: whole, in pieces, too large or empty; and requests that Django cannot parse."""

import json
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from django.core.exceptions import RequestDataTooBig
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse, JsonResponse
from equivalence.client import Client, case, form, get, multipart, post
from equivalence.recorder import describe, note
from equivalence.views import MODES, in_both_modes


def body(request: HttpRequest) -> HttpResponse:
    """Respond with the body."""
    return HttpResponse(request.body)


def stream(request: HttpRequest) -> HttpResponse:
    """Respond with the body, read as a file."""
    return HttpResponse(request.read(3) + request.readline() + b"".join(request))


def read_twice(request: HttpRequest) -> HttpResponse:
    """Read the body after the form, which raises RawPostDataException."""
    return HttpResponse(f"{request.POST} {request.body}")


def parse(request: HttpRequest) -> JsonResponse:
    """Respond with the JSON of the request."""
    return JsonResponse({"got": json.loads(request.body)})


def keep_files(request: HttpRequest) -> HttpResponse:
    """Respond with the names and sizes of the uploaded files, and note when they are closed."""
    for file in request.FILES.values():
        close = file.close
        file.close = lambda close=close: (note("file is closed"), close())
    return HttpResponse(", ".join(f"{name}: {type(file).__name__} {file.size}" for name, file in request.FILES.items()))


def headers(request: HttpRequest) -> JsonResponse:
    """Respond with the headers."""
    return JsonResponse(dict(request.headers) | {"cookies": request.COOKIES, "address": request.META["REMOTE_ADDR"]})


urlpatterns = [
    *in_both_modes("bodies/body/", body),
    *in_both_modes("bodies/stream/", stream),
    *in_both_modes("bodies/read-twice/", read_twice),
    *in_both_modes("bodies/json/", parse),
    *in_both_modes("bodies/files/", keep_files),
    *in_both_modes("bodies/headers/", headers),
]


def refusing(error: Exception) -> Any:
    """Return a function that makes the handler's request class raise an error."""

    def connect() -> AbstractContextManager[Any]:
        def request_class(*arguments: Any) -> None:
            note(f"refusing: {describe(error)}")
            raise error

        return patch.object(ASGIHandler, "request_class", request_class)

    return connect


WITHOUT_CSRF: dict[str, Any] = {"MIDDLEWARE": ["django.middleware.common.CommonMiddleware"]}
LONG = bytes(range(256)) * 100

cases = [
    *(
        case(
            f"{name}, /{mode}bodies/{route}/",
            post(f"/{mode}bodies/{route}/", content, **options),
            **WITHOUT_CSRF,
            **settings,
        )
        for mode in MODES
        for route in ("body", "stream")
        for name, content, options, settings in (
            ("nothing", b"", {}, {}),
            ("a line", b"a line\n", {}, {}),
            ("pieces", LONG, {"piece": 1000}, {}),
            ("one piece that is too much for memory", LONG, {}, {"FILE_UPLOAD_MAX_MEMORY_SIZE": 100}),
            ("too much for memory", LONG, {"piece": 1000}, {"FILE_UPLOAD_MAX_MEMORY_SIZE": 100}),
            ("too much", LONG, {}, {"DATA_UPLOAD_MAX_MEMORY_SIZE": 100}),
            ("too much, in development", LONG, {}, {"DATA_UPLOAD_MAX_MEMORY_SIZE": 100, "DEBUG": True}),
            ("any size", LONG, {}, {"DATA_UPLOAD_MAX_MEMORY_SIZE": None}),
        )
    ),
    *(
        case(f"{name}, /{mode}", request(f"/{mode}bodies/{route}/"), **WITHOUT_CSRF)
        for mode in MODES
        for name, route, request in (
            ("read twice", "read-twice", lambda path: multipart(path, {"a": "1"})),
            ("JSON", "json", lambda path: post(path, b'{"a": 1}', "application/json")),
            ("no JSON", "json", lambda path: post(path, b"{", "application/json")),
            ("a file", "files", lambda path: multipart(path, {}, b"a file")),
            (
                "a broken form",
                "read-twice",
                lambda path: form(path, {"a": "\udcff".encode("utf-8", "surrogateescape").decode("latin-1")}),
            ),
        )
    ),
    *(
        case(
            f"a file on disk, /{mode}",
            multipart(f"/{mode}bodies/files/", {}, b"a file"),
            FILE_UPLOAD_MAX_MEMORY_SIZE=1,
            **WITHOUT_CSRF,
        )
        for mode in MODES
    ),
    *(
        case(
            f"a client that disconnects in the body, /{mode}",
            post(f"/{mode}bodies/body/", LONG, client=Client.DISCONNECTS_IN_BODY),
        )
        for mode in MODES
    ),
    case(
        "headers",
        get(
            "/async/bodies/headers/",
            headers={"X_Forged": "1", "X-É": "é", "Accept": "*/*"},
            cookies={"a": "1", "b": '"2"'},
        ),
    ),
    case("a query that cannot be decoded", get("/async/plain/?\xff")),
    *(
        case(f"a request that is {name}", get("/async/plain/"), receivers=[refusing(error)])
        for name, error in (
            ("too big", RequestDataTooBig("too big")),
            ("undecodable", UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no")),
            ("impossible", ValueError("impossible")),
        )
    ),
]
