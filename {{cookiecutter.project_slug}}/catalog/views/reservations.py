"""Reservations: take products out of stock."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_POST

from catalog.api import APIError, json_errors, read_json_object, require_permission
from catalog.models import Product
from catalog.services import MAX_QUANTITY, OutOfStockError, reserve_stock


@require_POST
@json_errors
async def reserve(request: HttpRequest, pk: int) -> JsonResponse:
    """Take a quantity of a product out of stock, and return the product. 409 if there is not enough of it."""
    await require_permission(request, "catalog.change_product")
    quantity = read_json_object(request, fields=frozenset({"quantity"})).get("quantity")
    if not isinstance(quantity, int) or not 1 <= quantity <= MAX_QUANTITY:
        raise APIError(f"Invalid field 'quantity': it must be a whole number from 1 to {MAX_QUANTITY}.")
    try:
        [product] = await reserve_stock({pk: quantity})
    except Product.DoesNotExist as error:
        raise APIError(f"There is no product {pk}.", 404) from error
    except OutOfStockError as error:
        raise APIError(str(error), 409) from error
    return JsonResponse(product.to_json())
