"""The configuration of the app."""

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    """The sample app: products."""

    name = "catalog"
    # {% if cookiecutter.use_channels %}

    def ready(self) -> None:
        """Connect the signal receivers."""
        from catalog import events  # noqa: F401
    # {% endif %}
