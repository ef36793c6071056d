"""The JSON API: who may call it, what it takes and answers."""

import asyncio
import json
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import Permission
from django.test import AsyncClient, TestCase, TransactionTestCase, override_settings

from accounts.models import User
from catalog.models import Product
from catalog.views import BATCH_SIZE, PAGE_SIZE
from config.asgi import application

PRODUCTS = "/api/products/"
CHAIR = {"name": "Chair", "price": "12.50", "stock": 3}


class APITestCase(TestCase):
    """A test with a user for each degree of trust."""

    nobody: User
    clerk: User

    @classmethod
    def setUpTestData(cls) -> None:
        cls.nobody = User.objects.create_user("nobody")
        cls.clerk = User.objects.create_user("clerk")
        cls.clerk.user_permissions.set(Permission.objects.filter(content_type__app_label="catalog"))

    async def post(self, path: str, body: object, user: User | None = None) -> Any:
        """Post a body, as JSON unless it is bytes, as the clerk unless another user is named."""
        await self.async_client.aforce_login(user or self.clerk)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.async_client.post(path, data, content_type="application/json")

    async def refusal(self, body: object, status: int = 400) -> Any:
        """Post a product that must be refused; return why it was."""
        response = await self.post(PRODUCTS, body)
        assert response.status_code == status, response.text
        assert await Product.objects.acount() == 0
        answer = json.loads(response.text)
        return answer.get("error") or answer["errors"]


class ListTests(APITestCase):
    async def test_is_empty_at_first(self) -> None:
        response = await self.async_client.get(PRODUCTS)

        assert response.status_code == 200
        assert response.json() == {"products": [], "next": None}

    async def test_lists_products_a_page_at_a_time(self) -> None:
        await Product.objects.abulk_create(Product(name=f"{n}", price=n) for n in range(PAGE_SIZE + 1))

        first = (await self.async_client.get(PRODUCTS)).json()
        second = (await self.async_client.get(first["next"])).json()
        assert [product["name"] for product in first["products"]] == [str(n) for n in range(PAGE_SIZE)]
        assert [product["name"] for product in second["products"]] == [str(PAGE_SIZE)]
        assert second["next"] is None

    async def test_refuses_a_page_that_cannot_be(self) -> None:
        for after in ("-1", "x", "1.5", "", "²", "9" * 19):
            response = await self.async_client.get(PRODUCTS, {"after": after})
            assert response.status_code == 400, after
            assert repr(after) in response.json()["error"]

    async def test_other_methods_are_not_allowed(self) -> None:
        assert (await self.async_client.delete(PRODUCTS)).status_code == 405


class AddTests(APITestCase):
    async def test_a_product_is_added(self) -> None:
        response = await self.post(PRODUCTS, CHAIR)

        assert response.status_code == 201
        product = await Product.objects.aget()
        assert (product.name, product.price, product.stock) == ("Chair", Decimal("12.50"), 3)
        assert json.loads(response.text) == product.to_json()

    async def test_a_number_is_a_price_too_and_nothing_is_in_stock_unless_said(self) -> None:
        await self.post(PRODUCTS, b'{"name": "Chair", "price": 0.1}')

        product = await Product.objects.aget()
        assert (product.price, product.stock) == (Decimal("0.10"), 0)

    async def test_who_is_not_logged_in_is_401(self) -> None:
        response = await self.async_client.post(PRODUCTS, CHAIR, content_type="application/json")

        assert response.status_code == 401
        assert await Product.objects.acount() == 0

    async def test_who_lacks_the_permission_is_403(self) -> None:
        response = await self.post(PRODUCTS, CHAIR, user=self.nobody)

        assert response.status_code == 403
        assert "catalog.add_product" in response.text
        assert await Product.objects.acount() == 0

    async def test_a_foreign_form_is_403(self) -> None:
        client = AsyncClient(enforce_csrf_checks=True)
        await client.aforce_login(self.clerk)

        response = await client.post(PRODUCTS, CHAIR, content_type="application/json")
        assert response.status_code == 403
        assert await Product.objects.acount() == 0

    async def test_a_body_that_is_not_json_is_400_and_says_where(self) -> None:
        assert "line 2, column 10" in await self.refusal(b'{"name": "Chair",\n "price":}')
        assert "byte 10" in await self.refusal(b'{"name": "\xff"}')
        assert "NaN" in await self.refusal(b'{"name": "Chair", "price": NaN}')
        assert "JSON" in await self.refusal(b"")
        assert "JSON" in await self.refusal(b"[" * 100_000)
        assert "JSON" in await self.refusal(b'{"stock": ' + b"9" * 5000 + b"}")

    async def test_a_body_that_is_not_an_object_is_400(self) -> None:
        bodies: list[object] = [None, [], "Chair", 1]
        for body in bodies:
            assert "object" in await self.refusal(body)

    async def test_a_bad_field_is_400_and_named(self) -> None:
        for field, values in {
            "name": ("", None, "x" * 201, "a\x00b"),
            "price": ("", None, "-0.01", "1.234", "cheap", "NaN", "Infinity", 10**9),
            "stock": ("-1", -1, 1.5, "many", 2**31),
        }.items():
            for value in values:
                errors = await self.refusal(CHAIR | {field: value})
                assert list(errors) == [field], value

    async def test_a_field_of_another_type_is_400_and_named(self) -> None:
        for value in (True, ["Chair"], {"en": "Chair"}, "half \ud800"):
            assert (await self.refusal(CHAIR | {"name": value})).startswith("name: ")

    async def test_an_unknown_field_is_400_and_named(self) -> None:
        assert (await self.refusal(CHAIR | {"colour": "red"})).startswith("colour: no such field")

    async def test_a_form_is_415(self) -> None:
        # The check of the token reads a form, and nobody can read it again.
        client = AsyncClient(enforce_csrf_checks=True)
        await client.aforce_login(self.clerk)
        await client.get("/admin/login/")

        response = await client.post(PRODUCTS, CHAIR, headers={"X-CSRFToken": client.cookies["csrftoken"].value})
        assert response.status_code == 415

    async def test_nothing_costs_nothing(self) -> None:
        response = await self.post(PRODUCTS, CHAIR | {"price": "-0"})
        assert json.loads(response.text)["price"] == "0.00"

    async def test_a_taken_name_is_400_and_named(self) -> None:
        await self.post(PRODUCTS, CHAIR)

        response = await self.post(PRODUCTS, CHAIR)
        assert response.status_code == 400
        assert list(json.loads(response.text)["errors"]) == ["name"]

    @override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=100)
    async def test_a_body_that_is_too_long_is_413(self) -> None:
        assert await self.refusal(CHAIR | {"name": "x" * 100}, status=413) == "The body is too long."


class ProductTests(APITestCase):
    async def test_a_product_is_answered(self) -> None:
        product = await Product.objects.acreate(**CHAIR)

        response = await self.async_client.get(f"{PRODUCTS}{product.pk}/")
        assert response.json() == product.to_json()

    async def test_none_is_404(self) -> None:
        for path in ("404/", "404/quotes/"):
            response = await self.async_client.get(PRODUCTS + path)
            assert response.status_code == 404
            assert response.json() == {"error": "There is no product 404."}

    @override_settings(SUPPLIER_URLS=[])
    async def test_quotes_come_with_the_product(self) -> None:
        product = await Product.objects.acreate(**CHAIR)

        response = await self.async_client.get(f"{PRODUCTS}{product.pk}/quotes/")
        assert response.json() == {"product": product.to_json(), "quotes": []}


class ExportTests(TransactionTestCase):
    async def test_streams_every_product_as_a_line(self) -> None:
        await Product.objects.abulk_create(Product(name=f"{n}", price=n) for n in range(BATCH_SIZE + 1))

        response = await self.async_client.get(f"{PRODUCTS}export/")
        assert response.headers["Content-Type"] == "application/x-ndjson"
        lines = [json.loads(line) async for line in response]
        assert [line["name"] for line in lines] == [str(n) for n in range(BATCH_SIZE + 1)]

    async def test_stops_when_the_client_leaves(self) -> None:
        await Product.objects.abulk_create(Product(name=f"{n}", price=n) for n in range(3 * BATCH_SIZE))
        messages: asyncio.Queue[Any] = asyncio.Queue()
        messages.put_nowait({"type": "http.request"})
        lines = 0

        async def send(message: Any) -> None:
            nonlocal lines
            lines += bool(message.get("body"))
            if lines == BATCH_SIZE:
                messages.put_nowait({"type": "http.disconnect"})
            await asyncio.sleep(0)

        scope = {
            "type": "http",
            "method": "GET",
            "path": f"{PRODUCTS}export/",
            "headers": [(b"host", b"testserver")],
        }
        await application(scope, messages.get, send)
        assert BATCH_SIZE <= lines <= 2 * BATCH_SIZE
# {% if cookiecutter.use_orm_wrappers %}


class ReserveTests(APITestCase):
    async def test_pieces_are_reserved(self) -> None:
        product = await Product.objects.acreate(**CHAIR)

        response = await self.post(f"{PRODUCTS}{product.pk}/reserve/", {"quantity": 2})
        assert response.status_code == 200
        await product.arefresh_from_db()
        assert product.stock == 1
        assert json.loads(response.text) == product.to_json()

    async def test_too_many_is_409_and_changes_nothing(self) -> None:
        product = await Product.objects.acreate(**CHAIR)

        response = await self.post(f"{PRODUCTS}{product.pk}/reserve/", {"quantity": 4})
        assert response.status_code == 409
        assert json.loads(response.text) == {"error": "Chair: 4 wanted, 3 in stock."}
        await product.arefresh_from_db()
        assert product.stock == 3

    async def test_a_bad_quantity_is_400_and_named(self) -> None:
        for quantity in (0, -1, 1.5, "1", None, 2**31):
            response = await self.post(f"{PRODUCTS}1/reserve/", {"quantity": quantity})
            assert response.status_code == 400
            assert "quantity" in response.text

    async def test_none_is_404(self) -> None:
        for pk in (404, 2**63):
            response = await self.post(f"{PRODUCTS}{pk}/reserve/", {"quantity": 1})
            assert response.status_code == 404

    async def test_needs_the_permission(self) -> None:
        response = await self.async_client.post(f"{PRODUCTS}1/reserve/")
        assert response.status_code == 401
        response = await self.post(f"{PRODUCTS}1/reserve/", {"quantity": 1}, user=self.nobody)
        assert response.status_code == 403

    async def test_users_are_counted_for_staff_only(self) -> None:
        path = "/api/users/count/"
        assert (await self.async_client.get(path)).status_code == 401
        await self.async_client.aforce_login(self.clerk)
        assert (await self.async_client.get(path)).status_code == 403
        await self.async_client.aforce_login(await User.objects.acreate_user("manager", is_staff=True))
        assert (await self.async_client.get(path)).json() == {"count": 3}
# {% endif %}
