"""What a person sees in a browser."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
async def home(request: HttpRequest) -> HttpResponse:
    """Show what the service offers. It asks nobody, so it stays on the event loop."""
    return render(request, "catalog/home.html", {"project_name": settings.PROJECT_NAME})
