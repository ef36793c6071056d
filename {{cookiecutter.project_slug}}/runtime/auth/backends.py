"""Django's authentication backend with a login throttle, hashing threads, and reasons for the log."""

from typing import Any

from django.contrib.auth import check_password_with_timing_attack_mitigation, get_user_model
from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.db import connections
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from runtime.auth.hashing import in_hashing_thread
from runtime.auth.login_refusals import Refusal, set_refusal
from runtime.auth.throttling import TooManyFailedLoginsError, begin_attempt


class LoginBackend(ModelBackend):
    """Checks user names and passwords, unless the client has failed too often (see `throttling`).

    A login without a request, such as `Client.login()` in a test, is not throttled, because it has no address. Override
    `find_user` to find users by something other than their name.
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
                set_refusal(request, Refusal("throttled", error.retry_after))
                # Django's `authenticate()` then returns None without trying another backend.
                raise PermissionDenied from error
        user = self.find_user(username)
        release_connections()
        if not check_password_with_timing_attack_mitigation(user, password):
            set_refusal(request, Refusal("unknown user" if user is None else "wrong password"))
            return None
        if not self.user_can_authenticate(user):
            set_refusal(request, Refusal("inactive user"))
            return None
        if attempt is not None:
            attempt.delete()
        return user

    async def aauthenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> Any:
        """Call `authenticate` in a hashing thread. The request's worker thread is released first."""
        return await in_hashing_thread(self.authenticate)(request, username, password, **kwargs)

    def find_user(self, username: str) -> Any:
        """Return the user with this name, or None."""
        model: Any = get_user_model()
        try:
            return model._default_manager.get_by_natural_key(username)
        except model.DoesNotExist:
            return None


def release_connections() -> None:
    """Return this thread's pooled database connections, because the pool has only one for each worker thread."""
    for connection in connections.all(initialized_only=True):
        if getattr(connection, "pool", None) and not connection.in_atomic_block and connection.get_autocommit():
            connection.close()
