"""The view that asks suppliers for quotes."""

from django.test import override_settings

from catalog.models import Product
from tests.api_test_case import CHAIR, PRODUCTS, APITestCase


class QuotesTests(APITestCase):
    @override_settings(SUPPLIER_URLS=[])
    async def test_quotes_come_with_the_product(self) -> None:
        product = await Product.objects.acreate(**CHAIR)

        response = await self.async_client.get(f"{PRODUCTS}{product.pk}/quotes/")
        assert response.json() == {"product": product.to_json(), "quotes": []}

    async def test_unknown_id_is_404(self) -> None:
        response = await self.async_client.get(f"{PRODUCTS}404/quotes/")
        assert response.status_code == 404
        assert response.json() == {"error": "There is no product 404."}
