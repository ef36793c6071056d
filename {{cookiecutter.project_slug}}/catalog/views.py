"""The JSON API, in async views."""

import json
from collections.abc import AsyncIterator

from django.db import IntegrityError
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import (
    require_GET,
    require_http_methods,
    # {% if cookiecutter.use_orm_wrappers %}
    require_POST,
    # {% endif %}
    require_safe,
)

# {% if cookiecutter.use_orm_wrappers %}
from catalog import services
# {% endif %}
from catalog.api import (
    answers_payload_errors,
    read_object,
    refuse,
    requires_permission,
    # {% if cookiecutter.use_orm_wrappers %}
    requires_staff,
    # {% endif %}
)
from catalog.forms import ProductForm
from catalog.models import Product
from catalog.suppliers import ask_suppliers
from runtime.threads.pool import give_back_thread

# Products in a page of the list, and in one query of the export.
PAGE_SIZE = 100
BATCH_SIZE = 500


@require_http_methods(["GET", "HEAD", "POST"])
async def products(request: HttpRequest) -> HttpResponseBase:
    """List the products (GET), or add one (POST)."""
    if request.method == "POST":
        return await add_product(request)
    return await list_products(request)


async def list_products(request: HttpRequest) -> HttpResponseBase:
    """Answer a page of products, and in `next` where the one after it is."""
    after = request.GET.get("after", "0")
    if not (after.isascii() and after.isdecimal() and len(after) < 19):
        return refuse(f"after: {after!r} is not the id of a product, such as 100.", 400)
    page = Product.objects.filter(pk__gt=int(after)).order_by("pk")[: PAGE_SIZE + 1]
    found = [product.to_json() async for product in page]
    more = len(found) > PAGE_SIZE
    found = found[:PAGE_SIZE]
    return JsonResponse(
        {"products": found, "next": f"{reverse('catalog:products')}?after={found[-1]['id']}" if more else None}
    )


@requires_permission("catalog.add_product")
@answers_payload_errors
async def add_product(request: HttpRequest) -> HttpResponseBase:
    """Add a product, and answer it."""
    form = ProductForm(read_object(request, allowed=frozenset(ProductForm.Meta.fields)))
    if not form.is_valid():
        return JsonResponse({"errors": form.errors}, status=400)
    try:
        # {% if cookiecutter.use_orm_wrappers %}
        product = await services.create_product(**form.cleaned_data)
        # {% else %}
        product = await Product.objects.acreate(**form.cleaned_data)
        # {% endif %}
    except IntegrityError:
        # The form has checked everything else that the database insists on.
        return JsonResponse({"errors": {"name": ["Product with this Name already exists."]}}, status=400)
    return JsonResponse(product.to_json(), status=201)


@require_safe
async def product(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Answer one product."""
    found = await Product.objects.filter(pk=pk).afirst()
    return JsonResponse(found.to_json()) if found else no_such_product(pk)


@require_GET
async def quotes(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Ask every supplier at once what a product would cost, and answer what each of them said."""
    found = await Product.objects.filter(pk=pk).afirst()
    if found is None:
        return no_such_product(pk)
    # Suppliers may take seconds, in which others can use it.
    give_back_thread()
    return JsonResponse({"product": found.to_json(), "quotes": await ask_suppliers(found.name)})


@require_GET
async def export(request: HttpRequest) -> HttpResponseBase:
    """Stream every product, one JSON object a line."""
    # The first batch is read before the response begins, which could not say any more that there is none to be had.
    return StreamingHttpResponse(export_lines(await read_batch(0)), content_type="application/x-ndjson")


async def export_lines(batch: list[Product]) -> AsyncIterator[str]:
    """Yield a line for each product from the first batch on, a batch of them in memory at a time.

    When the client leaves, Django cancels the response and no further batch is read.
    """
    while True:
        for found in batch:
            yield json.dumps(found.to_json()) + "\n"
        if len(batch) < BATCH_SIZE:
            return
        batch = await read_batch(batch[-1].pk)


async def read_batch(after: int) -> list[Product]:
    """Return the products that come after an id, as many as a batch has.

    Each batch is a query of its own: no transaction, cursor or thread is kept while a slow client reads.
    """
    batch = [product async for product in Product.objects.filter(pk__gt=after).order_by("pk")[:BATCH_SIZE]]
    give_back_thread()
    return batch


# {% if cookiecutter.use_orm_wrappers %}
@require_POST
@requires_permission("catalog.change_product")
@answers_payload_errors
async def reserve(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Take some pieces of a product out of stock, and answer the product; 409 when there are not enough."""
    quantity = read_object(request, allowed=frozenset({"quantity"})).get("quantity")
    if not isinstance(quantity, int) or not 1 <= quantity <= services.MAX_QUANTITY:
        return refuse(f"quantity: not a whole number from 1 to {services.MAX_QUANTITY}.", 400)
    try:
        [reserved] = await services.reserve_stock({pk: quantity})
    except Product.DoesNotExist:
        return no_such_product(pk)
    except services.OutOfStockError as error:
        return refuse(str(error), 409)
    return JsonResponse(reserved.to_json())


@require_safe
@requires_staff
async def count_users(request: HttpRequest) -> HttpResponseBase:
    """Answer how many users there are, to staff."""
    return JsonResponse({"count": await services.count_users()})


# {% endif %}
def no_such_product(pk: int) -> JsonResponse:
    """Return the 404 of a product."""
    return refuse(f"There is no product {pk}.", 404)
