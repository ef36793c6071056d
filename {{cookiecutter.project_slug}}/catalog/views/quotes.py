"""Quotes: what suppliers ask for a product."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_GET

from catalog.api import json_errors
from catalog.suppliers import ask_suppliers
from catalog.views.products import get_product
from runtime.threads.middleware import release_thread


@require_GET
@json_errors
async def quotes(request: HttpRequest, pk: int) -> JsonResponse:
    """Ask every supplier for a price at the same time, and return each price or error."""
    product = await get_product(pk)
    # Suppliers may take seconds. Other requests can use the thread and its database connection in the meantime.
    release_thread()
    return JsonResponse({"product": product.to_json(), "quotes": await ask_suppliers(product.name)})
