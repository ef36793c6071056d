"""A logout closes the WebSockets of its session."""

from typing import Any

from asgiref.sync import async_to_sync
from django.contrib.auth.signals import user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest

from runtime.websockets.auth import end_sockets_of


@receiver(user_logged_out)
def close_sockets(request: HttpRequest | None, **kwargs: Any) -> None:
    """Close the WebSockets of the session that ends.

    A process that the message does not reach closes them at its next check of the session, within a minute.
    """
    if request is not None and request.session.session_key is not None:
        async_to_sync(end_sockets_of)(request.session.session_key)
