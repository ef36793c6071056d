"""The app's place in Django."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin


class RuntimeConfig(AppConfig):
    """What keeps requests on the event loop."""

    name = "runtime"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks and the signal receivers."""
        from runtime import checks  # noqa: F401
        from runtime.auth import logins, throttling  # noqa: F401
        from runtime.requests import cookies  # noqa: F401


class AdminConfig(admin.AdminConfig):
    """Django's admin, on `runtime.auth.admin_site.AdminSite`."""

    default = False
    default_site = "runtime.auth.admin_site.AdminSite"
