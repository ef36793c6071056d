"""The views that list, add and show products."""

from decimal import Decimal

from catalog.models import Product
from catalog.views.products import PAGE_SIZE
from tests.api_test_case import CHAIR, PRODUCTS, APITestCase


class ListTests(APITestCase):
    async def test_list_without_products_is_empty(self) -> None:
        response = await self.async_client.get(PRODUCTS)

        assert response.status_code == 200
        assert response.json() == {"products": [], "next": None}

    async def test_list_has_pages(self) -> None:
        await Product.objects.abulk_create(Product(name=f"{n}", price=n) for n in range(PAGE_SIZE + 1))

        first = (await self.async_client.get(PRODUCTS)).json()
        second = (await self.async_client.get(first["next"])).json()
        assert [product["name"] for product in first["products"]] == [str(n) for n in range(PAGE_SIZE)]
        assert [product["name"] for product in second["products"]] == [str(PAGE_SIZE)]
        assert second["next"] is None

    async def test_list_after_an_invalid_id_is_400(self) -> None:
        for after in ("-1", "x", "1.5", "", "²", "9" * 19):
            response = await self.async_client.get(PRODUCTS, {"after": after})
            assert response.status_code == 400, after
            assert f"after={after!r}" in response.json()["error"]

    async def test_delete_is_405(self) -> None:
        assert (await self.async_client.delete(PRODUCTS)).status_code == 405


class AddTests(APITestCase):
    async def test_product_is_saved_and_returned(self) -> None:
        response = await self.post(PRODUCTS, CHAIR)

        assert response.status_code == 201
        product = await Product.objects.aget()
        assert (product.name, product.price, product.stock) == ("Chair", Decimal("12.50"), 3)
        assert response.json() == product.to_json()

    async def test_price_can_be_a_number_and_stock_is_0_by_default(self) -> None:
        await self.post(PRODUCTS, b'{"name": "Chair", "price": 0.1}')

        product = await Product.objects.aget()
        assert (product.price, product.stock) == (Decimal("0.10"), 0)

    async def test_negative_zero_is_saved_as_zero(self) -> None:
        response = await self.post(PRODUCTS, CHAIR | {"price": "-0"})
        assert response.json()["price"] == "0.00"

    async def test_invalid_field_is_400_and_named(self) -> None:
        for field, values in {
            "name": ("", None, "x" * 201, "a\x00b"),
            "price": ("", None, "-0.01", "1.234", "cheap", "NaN", "Infinity", 10**9),
            "stock": ("-1", -1, 1.5, "many", 2**31),
        }.items():
            for value in values:
                response = await self.post(PRODUCTS, CHAIR | {field: value})
                assert response.status_code == 400, value
                assert list(response.json()["errors"]) == [field], value
        assert await Product.objects.acount() == 0

    async def test_name_that_is_taken_is_400_and_named(self) -> None:
        await self.post(PRODUCTS, CHAIR)

        response = await self.post(PRODUCTS, CHAIR)
        assert response.status_code == 400
        assert response.json() == {"errors": {"name": ["Product with this Name already exists."]}}


class ShowTests(APITestCase):
    async def test_product_is_returned(self) -> None:
        product = await Product.objects.acreate(**CHAIR)

        response = await self.async_client.get(f"{PRODUCTS}{product.pk}/")
        assert response.json() == product.to_json()

    async def test_unknown_id_is_404(self) -> None:
        for pk in (404, 2**63):
            response = await self.async_client.get(f"{PRODUCTS}{pk}/")
            assert response.status_code == 404
            assert response.json() == {"error": f"There is no product {pk}."}
