"""Response headers that restrict what browsers do with the responses of the service."""

from collections.abc import Callable
from typing import Any, override

from django.conf import settings
from django.contrib.auth.signals import user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.middleware import csp
from django.middleware.csp import get_nonce
from django.utils.csp import CSP, build_policy

from runtime.compat import require
from runtime.requests.middleware import ContentSecurityPolicyMiddleware

require(csp.ContentSecurityPolicyMiddleware.process_response, "_csp_config")

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
# Not "cookies": browsers would also delete the cookies of other sites below the registered domain. Logging out
# deletes the session's cookie itself.
CLEARED_ON_LOGOUT = '"cache", "storage"'


class BrowserPolicyMiddleware(ContentSecurityPolicyMiddleware):
    """Adds Content-Security-Policy, Permissions-Policy, Cross-Origin-Resource-Policy and, on logout, Clear-Site-Data.

    A single middleware adds them all, because each middleware makes every request slower. It does not replace a header
    that a view has set. `settings.PERMISSIONS_POLICY` allows or adds features, as in `{"camera": "(self)"}`.
    """

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        features = dict.fromkeys(POWERFUL_FEATURES, "()") | getattr(settings, "PERMISSIONS_POLICY", {})
        self.permissions_policy = ", ".join(f"{feature}={allowlist}" for feature, allowlist in features.items())
        self.csp_config = settings.SECURE_CSP
        # A policy without a nonce is the same for every response.
        self.csp = build_policy(self.csp_config) if self.csp_config else None

    @override
    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if self.csp and self.csp_config is settings.SECURE_CSP and not has_own_policy(request, response):
            response.headers.setdefault(CSP.HEADER_ENFORCE.value, self.csp)
        response = super().process_response(request, response)
        response.headers.setdefault("Permissions-Policy", self.permissions_policy)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        if getattr(request, "_logged_out", False):
            response.headers.setdefault("Clear-Site-Data", CLEARED_ON_LOGOUT)
        return response


def has_own_policy(request: HttpRequest, response: HttpResponse) -> bool:
    """Tell whether the view has used the nonce or set its own content security policy."""
    return bool(get_nonce(request)) or hasattr(response, "_csp_config")


@receiver(user_logged_out)
def mark_logout(request: HttpRequest | None, **kwargs: Any) -> None:
    """Mark a request that logs its user out, so that its response gets Clear-Site-Data."""
    if request is not None:
        request._logged_out = True  # type: ignore[attr-defined]
