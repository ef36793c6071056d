"""The app's place in Django."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin


class RuntimeConfig(AppConfig):
    """What keeps requests on the event loop."""

    name = "runtime"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks and the signal receivers."""
        from runtime import checks, cookies, logins, throttling  # noqa: F401


class AdminConfig(admin.AdminConfig):
    """Django's admin, on `runtime.admin_site.AdminSite`."""

    default = False
    default_site = "runtime.admin_site.AdminSite"
