"""The app's place in Django."""

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    """The products of the service."""

    name = "catalog"
    # {% if cookiecutter.use_channels %}

    def ready(self) -> None:
        """Connect the signal handlers."""
        from catalog import events  # noqa: F401
    # {% endif %}
