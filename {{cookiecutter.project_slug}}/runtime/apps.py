"""The app's place in Django."""

from django.apps import AppConfig


class RuntimeConfig(AppConfig):
    """What keeps requests on the event loop."""

    name = "runtime"

    def ready(self) -> None:
        """Register the checks."""
        from runtime import checks  # noqa: F401
