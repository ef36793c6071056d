"""What a product must be."""

from decimal import Decimal

from django import forms

from catalog.models import Product


class ProductForm(forms.ModelForm):  # type: ignore[type-arg]
    """Validates the fields of a product without a query, so it can run on the event loop.

    Whether a name is taken, the database says when the product is saved: asked before, the answer could be out of date.
    """

    stock = forms.IntegerField(required=False, min_value=0, max_value=2_147_483_647)

    class Meta:
        """The fields that a client may set."""

        model = Product
        fields = ("name", "price", "stock")

    def clean_price(self) -> Decimal:
        """Return the price; -0 is 0."""
        price: Decimal = self.cleaned_data["price"]
        return price + 0

    def clean_stock(self) -> int:
        """Return the stock; none given is none in stock."""
        return self.cleaned_data["stock"] or 0

    def validate_unique(self) -> None:
        """Leave it to the database."""

    def validate_constraints(self) -> None:
        """Leave it to the database."""
