"""The app's place in Django."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """The users of the service."""

    name = "accounts"
    # {% if cookiecutter.use_channels %}

    def ready(self) -> None:
        """Connect the signal handlers."""
        from accounts import sessions  # noqa: F401
    # {% endif %}
