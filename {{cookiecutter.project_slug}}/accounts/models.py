"""The user model. A project that starts with its own can change it later; one that does not cannot."""

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """Somebody who can log in."""
