"""Helpers of the JSON views: errors, the user's permissions, and the JSON in a request's body."""

import json
from collections.abc import Callable, Coroutine
from decimal import Decimal
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, JsonResponse, RawPostDataException
from django.http.response import HttpResponseBase

type View = Callable[..., Coroutine[Any, Any, HttpResponseBase]]


class APIError(Exception):
    """Ends a view with an error response. The message is for the client."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def json_errors(view: View) -> View:
    """Return a view that answers each APIError of the given one with `{"error": message}` and its status."""

    @wraps(view)
    async def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return await view(request, *args, **kwargs)
        except APIError as error:
            return JsonResponse({"error": str(error)}, status=error.status)

    return wrapper


async def require_user(request: HttpRequest) -> AbstractUser:
    """Return the user of a request. Raises APIError (401) if the client is not logged in."""
    user = await request.auser()
    if not user.is_authenticated:
        raise APIError("Authentication required. Log in first.", 401)
    return user


async def require_permission(request: HttpRequest, permission: str) -> None:
    """Raise APIError if the client is not logged in (401) or its user lacks a permission (403)."""
    user = await require_user(request)
    if not await user.ahas_perm(permission):
        raise APIError(f"Permission denied. It needs the permission {permission!r}.", 403)


def read_json_object(request: HttpRequest, fields: frozenset[str]) -> dict[str, Any]:
    """Return the JSON object in a request's body. Its values are strings, numbers or null.

    Numbers with a fraction become Decimal, so that no price is rounded. Raises APIError for a body that is too long
    (413) or a form (415). A body that is not a JSON object, or has unknown fields or nested values, is a 400.
    """
    try:
        payload = json.loads(request.body, parse_float=Decimal, parse_constant=refuse_constant)
    except RawPostDataException as error:
        # The CSRF check has read the body as a form, and a body can be read only once.
        raise APIError("The body is a form. Send JSON with Content-Type: application/json.", 415) from error
    except RequestDataTooBig as error:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raise APIError(f"The body is too long. Send at most {limit} bytes.", 413) from error
    except json.JSONDecodeError as error:
        raise APIError(f"Invalid JSON at line {error.lineno}, column {error.colno}: {error.msg}.") from error
    except UnicodeDecodeError as error:
        raise APIError(f"Invalid JSON at byte {error.start}: not UTF-8.") from error
    except (ValueError, RecursionError) as error:
        raise APIError(f"Invalid JSON: {error}.") from error
    if not isinstance(payload, dict):
        raise APIError('The body is not a JSON object. Send one such as {"name": "Chair"}.')
    for name, value in payload.items():
        if name not in fields:
            raise APIError(f"Unknown field {name!r}. Known fields: {', '.join(sorted(fields))}.")
        if isinstance(value, bool | list | dict):
            raise APIError(f"Invalid field {name!r}: it must be a string, a number or null.")
        if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
            raise APIError(f"Invalid field {name!r}: it contains a lone surrogate, which UTF-8 cannot encode.")
    return payload


def refuse_constant(constant: str) -> None:
    """Raise ValueError for NaN and Infinity. Python reads them, but JSON has no such numbers."""
    raise ValueError(f"{constant} is not a JSON number")
