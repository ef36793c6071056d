"""Response headers that restrict what browsers do with the responses of the service."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.signals import user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from runtime.middleware import OnTheLoop

# The features that ask a user for permission or reach hardware. Chromium logs a warning about every name that it does
# not know, so this list has only names that it knows on each platform.
POWERFUL_FEATURES = (
    "accelerometer",
    "camera",
    "clipboard-read",
    "display-capture",
    "encrypted-media",
    "geolocation",
    "gyroscope",
    "hid",
    "idle-detection",
    "local-fonts",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "publickey-credentials-get",
    "screen-wake-lock",
    "serial",
    "storage-access",
    "usb",
    "window-management",
    "xr-spatial-tracking",
)
# Not "cookies": browsers would also delete the cookies of the other services below the registered domain. Logging out
# deletes the session's cookie itself.
CLEARED_ON_LOGOUT = '"cache", "storage"'


class BrowserPolicyMiddleware(OnTheLoop):
    """Adds Permissions-Policy, Cross-Origin-Resource-Policy and, to the response of a logout, Clear-Site-Data.

    A header that a view has set stays. `settings.PERMISSIONS_POLICY` adds features or allows them, as in
    `{"camera": "(self)"}`.
    """

    adds_headers = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        features = dict.fromkeys(POWERFUL_FEATURES, "()") | getattr(settings, "PERMISSIONS_POLICY", {})
        self.permissions_policy = ", ".join(f"{feature}={allowlist}" for feature, allowlist in features.items())

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Add the headers to a response."""
        response.headers.setdefault("Permissions-Policy", self.permissions_policy)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        if getattr(request, "_logged_out", False):
            response.headers.setdefault("Clear-Site-Data", CLEARED_ON_LOGOUT)
        return response


@receiver(user_logged_out)
def mark_logout(request: HttpRequest | None, **kwargs: Any) -> None:
    """Have the response of this request clear what the browser has stored for the site."""
    if request is not None:
        request._logged_out = True  # type: ignore[attr-defined]
