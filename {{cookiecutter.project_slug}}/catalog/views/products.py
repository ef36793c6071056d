"""Products: list them, add one, show one."""

import re

from django.db import IntegrityError
from django.http import HttpRequest, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from catalog.api import APIError, json_errors, read_json_object, require_permission
from catalog.forms import ProductForm
from catalog.models import Product
# {% if cookiecutter.use_orm_wrappers %}
from catalog.services import create_product
# {% endif %}

# Products in one page of the list.
PAGE_SIZE = 100


@require_http_methods(["GET", "HEAD", "POST"])
@json_errors
async def product_list(request: HttpRequest) -> JsonResponse:
    """List the products (GET), or add one (POST)."""
    if request.method == "POST":
        return await add_product(request)
    return await list_products(request)


async def list_products(request: HttpRequest) -> JsonResponse:
    """Return a page of products. `next` is the path of the following page, or null."""
    after = request.GET.get("after", "0")
    if not re.fullmatch(r"[0-9]{1,18}", after):
        raise APIError(f"Invalid parameter after={after!r}: it must be the id of a product, such as 100.")
    # One product more than a page has: it tells whether there is a following page.
    query = Product.objects.filter(pk__gt=int(after)).order_by("pk")[: PAGE_SIZE + 1]
    found = [product.to_json() async for product in query]
    page = found[:PAGE_SIZE]
    has_next = len(found) > PAGE_SIZE
    return JsonResponse(
        {"products": page, "next": f"{reverse('catalog:products')}?after={page[-1]['id']}" if has_next else None}
    )


async def add_product(request: HttpRequest) -> JsonResponse:
    """Add a product and return it."""
    await require_permission(request, "catalog.add_product")
    form = ProductForm(read_json_object(request, fields=frozenset(ProductForm.Meta.fields)))
    if form.is_valid():
        try:
            # {% if cookiecutter.use_orm_wrappers %}
            product = await create_product(**form.cleaned_data)
            # {% else %}
            product = await Product.objects.acreate(**form.cleaned_data)
            # {% endif %}
        except IntegrityError:
            # The form has checked every other constraint of the table.
            form.add_error("name", form.instance.unique_error_message(Product, ("name",)))
        else:
            return JsonResponse(product.to_json(), status=201)
    return JsonResponse({"errors": form.errors}, status=400)


@require_safe
@json_errors
async def product_detail(request: HttpRequest, pk: int) -> JsonResponse:
    """Return one product."""
    return JsonResponse((await get_product(pk)).to_json())


async def get_product(pk: int) -> Product:
    """Return a product. Raises APIError (404) if there is none with this id."""
    product = await Product.objects.filter(pk=pk).afirst()
    if product is None:
        raise APIError(f"There is no product {pk}.", 404)
    return product
