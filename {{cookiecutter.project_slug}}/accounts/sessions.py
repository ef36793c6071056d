"""Who logs out leaves no socket open."""

from typing import Any

from asgiref.sync import async_to_sync
from django.contrib.auth.signals import user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest

from runtime.websockets.auth import end_sockets_of


@receiver(user_logged_out)
def end_sockets(request: HttpRequest | None, **kwargs: Any) -> None:
    """End the sockets of a session that its user ends. Those that cannot be told end at their next look at it."""
    if request is not None and request.session.session_key is not None:
        async_to_sync(end_sockets_of)(request.session.session_key)
