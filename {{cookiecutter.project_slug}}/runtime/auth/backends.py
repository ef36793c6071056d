"""The authentication backend: Django's, with a throttle, a reason for the log, and threads of its own for hashing."""

from typing import Any

from django.contrib.auth import check_password_with_timing_attack_mitigation, get_user_model
from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.db import connections
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from runtime.auth.hashing import in_hashing_thread
from runtime.auth.login_refusals import Refusal, note_refusal
from runtime.auth.throttling import TooManyFailedLoginsError, begin_attempt


class LoginBackend(ModelBackend):
    """Checks user names and passwords as Django does, unless the client has too many failures: see `throttling`.

    A login without a request, as in `Client.login()` of a test, is not throttled, as it has no address. To find users
    by something other than their name, override `find_user`.
    """

    # The parameters have no annotations in Django either.
    @sensitive_variables("password")
    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> Any:
        """Return the user, or None. Raises PermissionDenied if the client is throttled."""
        if username is None:
            username = kwargs.get(get_user_model().USERNAME_FIELD)
        if username is None or password is None:
            return None
        attempt = None
        if request is not None:
            try:
                attempt = begin_attempt(request, str(username))
            except TooManyFailedLoginsError as error:
                note_refusal(request, Refusal("throttled", error.retry_after))
                # It ends `authenticate()`, which then returns None. Nothing has been hashed.
                raise PermissionDenied from error
        user = self.find_user(username)
        release_connections()
        if not check_password_with_timing_attack_mitigation(user, password):
            note_refusal(request, Refusal("unknown user" if user is None else "wrong password"))
            return None
        if not self.user_can_authenticate(user):
            note_refusal(request, Refusal("inactive user"))
            return None
        if attempt is not None:
            attempt.delete()
        return user

    async def aauthenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> Any:
        """Do the same in a hashing thread. The request's own thread, if it has one, is given back before."""
        return await in_hashing_thread(self.authenticate)(request, username, password, **kwargs)

    def find_user(self, username: str) -> Any:
        """Return the user with a name, or None."""
        model: Any = get_user_model()
        try:
            return model._default_manager.get_by_natural_key(username)
        except model.DoesNotExist:
            return None


def release_connections() -> None:
    """Give this thread's pooled database connections back while it hashes: there is one for each worker thread only."""
    for connection in connections.all(initialized_only=True):
        if getattr(connection, "pool", None) and not connection.in_atomic_block and connection.get_autocommit():
            connection.close()
