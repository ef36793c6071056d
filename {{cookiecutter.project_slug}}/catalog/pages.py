"""The HTML pages."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
async def home(request: HttpRequest) -> HttpResponse:
    """Show links to the parts of the service."""
    return render(request, "catalog/home.html", {"project_name": settings.PROJECT_NAME})
