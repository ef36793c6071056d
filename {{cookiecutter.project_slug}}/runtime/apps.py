"""The Django apps of the machinery and of the admin."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin


class RuntimeConfig(AppConfig):
    """The machinery as a Django app."""

    name = "runtime"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks and the signal receivers."""
        from runtime import checks  # noqa: F401
        from runtime.auth import logins, throttling  # noqa: F401
        from runtime.requests import cookies  # noqa: F401


class AdminConfig(admin.AdminConfig):
    """Django's admin with `runtime.auth.admin_site.AdminSite` as its default site."""

    default = False
    default_site = "runtime.auth.admin_site.AdminSite"
