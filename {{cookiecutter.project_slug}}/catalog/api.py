"""What every view of the JSON API shares: who may call it, what it reads, how it refuses."""

import json
from collections.abc import Callable, Coroutine
from decimal import Decimal
from functools import wraps
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, JsonResponse, RawPostDataException
from django.http.response import HttpResponseBase

type View = Callable[..., Coroutine[Any, Any, HttpResponseBase]]


class PayloadError(Exception):
    """A request body that cannot be used. The message is for the client."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def read_object(request: HttpRequest, allowed: frozenset[str]) -> dict[str, Any]:
    """Return the JSON object in a request's body, whose values are strings, numbers or null.

    Numbers with a fraction become Decimal, so that no price is rounded. Raises PayloadError for a body that is too long
    (413), is a form (415), is not JSON, is not an object, has fields other than those allowed, or nests.
    """
    try:
        payload = json.loads(request.body, parse_float=Decimal, parse_constant=refuse_constant)
    except RawPostDataException as error:
        raise PayloadError("A form, where JSON should be: send Content-Type: application/json.", status=415) from error
    except RequestDataTooBig as error:
        raise PayloadError("The body is too long.", status=413) from error
    except json.JSONDecodeError as error:
        raise PayloadError(f"Not JSON, at line {error.lineno}, column {error.colno}: {error.msg}.") from error
    except UnicodeDecodeError as error:
        raise PayloadError(f"Not JSON, at byte {error.start}: not UTF-8.") from error
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"Not JSON that can be read: {error}.") from error
    if not isinstance(payload, dict):
        raise PayloadError('Not a JSON object, such as {"name": "Chair"}.')
    for name, value in payload.items():
        if name not in allowed:
            raise PayloadError(f"{name}: no such field; there are {', '.join(sorted(allowed))}.")
        if isinstance(value, bool | list | dict):
            raise PayloadError(f"{name}: not a string or a number.")
        if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
            raise PayloadError(f"{name}: half a character (a lone surrogate).")
    return payload


def refuse_constant(constant: str) -> None:
    """Refuse NaN and Infinity, which Python reads and JSON does not know."""
    raise ValueError(f"{constant} is not a JSON number")


def refuse(message: str, status: int) -> JsonResponse:
    """Return the response that tells a client why it gets nothing else."""
    return JsonResponse({"error": message}, status=status)


def answers_payload_errors(view: View) -> View:
    """Let a view raise PayloadError, and answer it."""

    @wraps(view)
    async def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return await view(request, *args, **kwargs)
        except PayloadError as error:
            return refuse(str(error), error.status)

    return wrapper


# {% if cookiecutter.use_orm_wrappers %}
def requires_staff(view: View) -> View:
    """Keep a view for staff: other users get 403, and clients that are not logged in 401."""

    @wraps(view)
    async def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        user = await request.auser()
        if not user.is_authenticated:
            return refuse("Log in first.", 401)
        if not user.is_staff:
            return refuse("This is for staff only.", 403)
        return await view(request, *args, **kwargs)

    return wrapper


# {% endif %}
def requires_permission(permission: str) -> Callable[[View], View]:
    """Keep a view for users with a model permission: others get 403, and who is not logged in 401."""

    def decorate(view: View) -> View:
        @wraps(view)
        async def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            user = await request.auser()
            if not user.is_authenticated:
                return refuse("Log in first.", 401)
            if not await user.ahas_perm(permission):
                return refuse(f"You lack the permission {permission}.", 403)
            return await view(request, *args, **kwargs)

        return wrapper

    return decorate
