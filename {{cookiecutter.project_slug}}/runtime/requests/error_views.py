"""The error views. They return JSON below `settings.JSON_ONLY_PATHS` and Django's own pages elsewhere.

`config/urls.py` registers the handlers, and `settings.CSRF_FAILURE_VIEW` names `csrf_failure`.
"""

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404
from django.views import csrf, defaults

from runtime.requests.errors import error_response, is_json_only


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Return a 400 for a request that Django or a view has rejected."""
    if is_json_only(request):
        return error_response(request, 400, "Bad request.")
    return defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Return a 403 for a view that has raised PermissionDenied."""
    if is_json_only(request):
        return error_response(request, 403, str(exception) or "Permission denied.")
    return defaults.permission_denied(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Return a 404 for a path without a view, or for a view that has raised Http404."""
    if is_json_only(request):
        return json_not_found(request, exception)
    return defaults.page_not_found(request, exception)


def json_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return a 404 as JSON."""
    # The text of a Resolver404 lists all URL patterns.
    message = "" if isinstance(exception, Resolver404) else str(exception)
    return error_response(request, 404, message or f"There is nothing at {request.path}.")


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Return a 500 for a view that has raised any other exception."""
    if is_json_only(request):
        return error_response(request, 500, "Internal server error.")
    return defaults.server_error(request)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    """Return a 403 for a request that has failed the CSRF check."""
    if is_json_only(request):
        return error_response(request, 403, f"CSRF check failed: {reason}")
    return csrf.csrf_failure(request, reason=reason)
