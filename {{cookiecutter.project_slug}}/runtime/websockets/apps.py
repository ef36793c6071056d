"""WebSockets as a Django app, which registers their health check and their system check."""

from django.apps import AppConfig


class WebSocketsConfig(AppConfig):
    """Checks the channel layer."""

    name = "runtime.websockets"
    label = "runtime_websockets"

    def ready(self) -> None:
        """Register the checks."""
        from runtime.requests.health import DEPENDENCIES
        from runtime.websockets import checks  # noqa: F401
        from runtime.websockets.health import channel_layer

        DEPENDENCIES["channel_layer"] = channel_layer
