"""The products that the service sells."""

# {% if cookiecutter.use_channels or cookiecutter.use_async_views %}
from decimal import Decimal

# {% endif %}
from django.core.validators import MinValueValidator
from django.db import models


class Product(models.Model):
    """A product with a unique name, a price and a stock."""

    name = models.CharField(max_length=200, unique=True)
    price = models.DecimalField(max_digits=10, decimal_places=2, validators=[MinValueValidator(0)])
    stock = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """The oldest product comes first."""

        ordering = ("pk",)
        constraints = (models.CheckConstraint(condition=models.Q(price__gte=0), name="product_price_is_not_negative"),)

    def __str__(self) -> str:
        return self.name
    # {% if cookiecutter.use_channels or cookiecutter.use_async_views %}

    def to_json(self) -> dict[str, object]:
        """Return the public fields as JSON types. The price is a string with two decimals."""
        return {
            "id": self.pk,
            "name": self.name,
            "price": str(Decimal(self.price).quantize(Decimal("0.01"))),
            "stock": self.stock,
            "created_at": self.created_at.isoformat(),
        }
    # {% endif %}
