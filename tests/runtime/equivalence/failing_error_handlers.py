"""The paths of a site whose pages for errors fail themselves, or take from the database what they say."""

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from equivalence import urls

urlpatterns = urls.urlpatterns


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer with what a query has found."""
    return HttpResponse(f"{User.objects.count()} users have not found it", status=404)


def handler403(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Fail."""
    raise LookupError("the page for 403 is missing")


def handler500(request: HttpRequest) -> HttpResponse:
    """Fail."""
    raise LookupError("the page for 500 is missing")
