"""Forms that validate the input of the API."""

from decimal import Decimal

from django import forms

from catalog.models import Product


class ProductForm(forms.ModelForm):  # type: ignore[type-arg]
    """Validates the fields of a product without a query, so it can run on the event loop.

    The database checks that a name is unique when the product is saved. An earlier check could be out of date by then.
    """

    stock = forms.IntegerField(required=False, min_value=0, max_value=2_147_483_647)

    class Meta:
        """The fields that a client may set."""

        model = Product
        fields = ("name", "price", "stock")

    def clean_price(self) -> Decimal:
        """Return the price, with 0 for -0."""
        price: Decimal = self.cleaned_data["price"]
        return price + 0

    def clean_stock(self) -> int:
        """Return the stock, 0 by default."""
        return self.cleaned_data["stock"] or 0

    def validate_unique(self) -> None:
        """Skip the check: it would query the database."""

    def validate_constraints(self) -> None:
        """Skip the check: it would query the database."""
