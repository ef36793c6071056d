"""The user model. Django advises a custom one from the start, because it is hard to replace later."""

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """A user who can log in."""
