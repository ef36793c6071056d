"""The workloads as Django views."""

from django.http import HttpRequest, JsonResponse

from benchmark import answers


async def plain_json(request: HttpRequest) -> JsonResponse:
    """Return a constant."""
    return JsonResponse(await answers.hello(request))


async def row(request: HttpRequest) -> JsonResponse:
    """Read one row by its primary key."""
    return JsonResponse(await answers.row(request))


async def session(request: HttpRequest) -> JsonResponse:
    """Read a key of the request's session."""
    return JsonResponse(await answers.session(request))


async def fan_out(request: HttpRequest) -> JsonResponse:
    """Make 10 slow HTTP calls at once."""
    return JsonResponse(await answers.fan_out(request))


async def sleep(request: HttpRequest) -> JsonResponse:
    """Keep a request open."""
    return JsonResponse(await answers.sleep(request, float(request.GET["seconds"])))
