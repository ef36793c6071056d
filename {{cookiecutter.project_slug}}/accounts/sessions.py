"""A logout closes the WebSockets of its session."""

from typing import Any

from asgiref.sync import async_to_sync
from django.contrib.auth.signals import user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest

from runtime.websockets.auth import close_sockets_of_session


@receiver(user_logged_out)
def close_sockets(request: HttpRequest | None, **kwargs: Any) -> None:
    """Close the WebSockets of the session that ends.

    A process that the message does not reach closes them at its next check of the session, within a minute.
    """
    if request is not None and request.session.session_key is not None:
        async_to_sync(close_sockets_of_session)(request.session.session_key)
