"""Users: how many there are."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from catalog import services
from catalog.api import APIError, json_errors, require_user


@require_safe
@json_errors
async def count_users(request: HttpRequest) -> JsonResponse:
    """Return the number of users. For staff only."""
    user = await require_user(request)
    if not user.is_staff:
        raise APIError("Permission denied. It needs a staff user.", 403)
    return JsonResponse({"count": await services.count_users()})
