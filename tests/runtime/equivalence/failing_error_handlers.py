"""The URLs of a site whose error handlers fail, or query the database."""

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from equivalence import urls

urlpatterns = urls.urlpatterns


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Respond with the result of a query."""
    return HttpResponse(f"{User.objects.count()} users have not found it", status=404)


def handler403(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Raise LookupError."""
    raise LookupError("the page for 403 is missing")


def handler500(request: HttpRequest) -> HttpResponse:
    """Raise LookupError."""
    raise LookupError("the page for 500 is missing")
