"""Where each path of the service leads."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from runtime import health

urlpatterns = [
    path("health/live", health.live, name="live"),
    path("health/ready", health.ready, name="ready"),
    path(settings.ADMIN_PATH, admin.site.urls),
    path("", include("catalog.urls")),
]
