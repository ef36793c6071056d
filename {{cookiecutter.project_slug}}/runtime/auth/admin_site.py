"""The admin, with its password hashing in threads of its own and its refused logins in the log."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.urls import URLPattern, URLResolver

from runtime.auth.hashing import hashes_passwords
from runtime.auth.logins import log_refused_login
from runtime.auth.throttling import count_failure


class LoginForm(AdminAuthenticationForm):
    """Logs and counts a login that is refused though the password is right, which no signal tells of."""

    def confirm_login_allowed(self, user: Any) -> None:
        """Raise ValidationError for a user who may not use the admin."""
        try:
            super().confirm_login_allowed(user)
        except ValidationError:
            # It must count as a wrong password does, or the throttle would tell that the password is right.
            if self.request is not None:
                count_failure(self.request, user.get_username())
            log_refused_login(self.request, user.get_username(), "not staff")
            raise


class AdminSite(admin.AdminSite):
    """Django's admin site: `runtime.apps.AdminConfig` makes it the default."""

    login_form = LoginForm

    def get_urls(self) -> list[Any]:
        """Return the URLs of the admin; the views that hash passwords do so in a hashing thread."""
        urls = super().get_urls()
        options = get_user_model()._meta
        names = {
            "login",
            "password_change",
            "auth_user_password_change",
            f"{options.app_label}_{options.model_name}_add",
        }
        for pattern in patterns(urls):
            if pattern.name in names:
                pattern.callback = hashes_passwords(pattern.callback)
        return urls


def patterns(urls: Iterable[URLPattern | URLResolver]) -> Iterator[URLPattern]:
    """Yield every pattern, those of included URLs too."""
    for url in urls:
        if isinstance(url, URLResolver):
            yield from patterns(url.url_patterns)
        else:
            yield url
