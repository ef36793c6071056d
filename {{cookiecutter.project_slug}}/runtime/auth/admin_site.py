"""The admin site, which hashes passwords in hashing threads and logs refused logins."""

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
    """Logs and counts a login with the right password by a user who may not use the admin. No signal reports it."""

    def confirm_login_allowed(self, user: Any) -> None:
        """Raise ValidationError for a user who may not use the admin."""
        try:
            super().confirm_login_allowed(user)
        except ValidationError:
            # It counts like a wrong password, so that the throttle does not reveal that the password is right.
            if self.request is not None:
                count_failure(self.request, user.get_username())
            log_refused_login(self.request, user.get_username(), "not staff")
            raise


class AdminSite(admin.AdminSite):
    """Django's admin site. `runtime.apps.AdminConfig` makes it the default."""

    login_form = LoginForm

    def get_urls(self) -> list[Any]:
        """Return the URLs of the admin. Views that hash passwords run in a hashing thread."""
        urls = super().get_urls()
        options = get_user_model()._meta
        names = {
            "login",
            "password_change",
            "auth_user_password_change",
            f"{options.app_label}_{options.model_name}_add",
        }
        for pattern in all_patterns(urls):
            if pattern.name in names:
                pattern.callback = hashes_passwords(pattern.callback)
        return urls


def all_patterns(urls: Iterable[URLPattern | URLResolver]) -> Iterator[URLPattern]:
    """Yield every URL pattern, also those of included URLs."""
    for url in urls:
        if isinstance(url, URLResolver):
            yield from all_patterns(url.url_patterns)
        else:
            yield url
