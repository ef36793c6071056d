"""The configuration of the app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """The users of the service."""

    name = "accounts"
    # {% if cookiecutter.use_channels %}

    def ready(self) -> None:
        """Connect the signal receivers."""
        from accounts import sessions  # noqa: F401
    # {% endif %}
