"""XFrameOptionsMiddleware, and the decorators that override it."""

from django.views.decorators.clickjacking import xframe_options_deny, xframe_options_exempt, xframe_options_sameorigin
from equivalence.client import case, get
from equivalence.subjects.modes import plain
from equivalence.views import MODES, in_both_modes

urlpatterns = [
    *in_both_modes("frames/exempt/", xframe_options_exempt(plain)),
    *in_both_modes("frames/sameorigin/", xframe_options_sameorigin(plain)),
    *in_both_modes("frames/deny/", xframe_options_deny(plain)),
]

cases = [
    *(
        case(f"/{mode}frames/{name}/", get(f"/{mode}frames/{name}/"), X_FRAME_OPTIONS="SAMEORIGIN")
        for mode in MODES
        for name in ("exempt", "sameorigin", "deny")
    ),
    case("by the setting", get("/async/plain/"), X_FRAME_OPTIONS="sameorigin"),
]
