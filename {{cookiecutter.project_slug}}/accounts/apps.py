"""The app's place in Django."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """The users of the service."""

    name = "accounts"
