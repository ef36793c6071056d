"""The URLs of the service."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from runtime.requests import health

handler400 = "runtime.requests.error_views.bad_request"
handler403 = "runtime.requests.error_views.permission_denied"
handler404 = "runtime.requests.error_views.page_not_found"
handler500 = "runtime.requests.error_views.server_error"

urlpatterns = [
    path("health/live", health.live, name="live"),
    path("health/ready", health.ready, name="ready"),
    path(settings.ADMIN_PATH, admin.site.urls),
    path("", include("catalog.urls")),
]
