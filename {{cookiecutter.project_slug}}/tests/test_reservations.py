"""The view that takes products out of stock."""

from catalog.models import Product
from tests.api_test_case import CHAIR, PRODUCTS, APITestCase


class ReserveTests(APITestCase):
    async def test_quantity_in_stock_is_reserved(self) -> None:
        product = await Product.objects.acreate(**CHAIR)

        response = await self.post(f"{PRODUCTS}{product.pk}/reserve/", {"quantity": 2})
        assert response.status_code == 200
        await product.arefresh_from_db()
        assert product.stock == 1
        assert response.json() == product.to_json()

    async def test_quantity_over_the_stock_is_409_and_changes_nothing(self) -> None:
        product = await Product.objects.acreate(**CHAIR)

        response = await self.post(f"{PRODUCTS}{product.pk}/reserve/", {"quantity": 4})
        assert response.status_code == 409
        assert response.json() == {"error": "Not enough stock of 'Chair': requested 4, available 3."}
        await product.arefresh_from_db()
        assert product.stock == 3

    async def test_invalid_quantity_is_400_and_named(self) -> None:
        for quantity in (0, -1, 1.5, "1", None, 2**31):
            response = await self.post(f"{PRODUCTS}1/reserve/", {"quantity": quantity})
            assert response.status_code == 400
            assert response.json()["error"].startswith("Invalid field 'quantity': ")

    async def test_unknown_id_is_404(self) -> None:
        for pk in (404, 2**63):
            response = await self.post(f"{PRODUCTS}{pk}/reserve/", {"quantity": 1})
            assert response.status_code == 404
            assert response.json() == {"error": f"There is no product {pk}."}

    async def test_without_login_is_401_and_without_permission_403(self) -> None:
        response = await self.async_client.post(f"{PRODUCTS}1/reserve/")
        assert response.status_code == 401
        response = await self.post(f"{PRODUCTS}1/reserve/", {"quantity": 1}, user=self.user)
        assert response.status_code == 403
