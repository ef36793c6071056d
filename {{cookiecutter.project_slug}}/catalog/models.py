"""What the service sells."""

# {% if cookiecutter.use_channels or cookiecutter.use_async_views %}
from decimal import Decimal

# {% endif %}
from django.core.validators import MinValueValidator
from django.db import models


class Product(models.Model):
    """Something with a name, a price and a number of pieces in stock."""

    name = models.CharField(max_length=200, unique=True)
    price = models.DecimalField(max_digits=10, decimal_places=2, validators=[MinValueValidator(0)])
    stock = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """Listed in the order they were made."""

        ordering = ("pk",)
        constraints = (models.CheckConstraint(condition=models.Q(price__gte=0), name="product_price_is_not_negative"),)

    def __str__(self) -> str:
        return self.name
    # {% if cookiecutter.use_channels or cookiecutter.use_async_views %}

    def to_json(self) -> dict[str, object]:
        """Return the fields that the world may see, as JSON can hold them: the price is a string of two decimals."""
        return {
            "id": self.pk,
            "name": self.name,
            "price": str(Decimal(self.price).quantize(Decimal("0.01"))),
            "stock": self.stock,
            "created_at": self.created_at.isoformat(),
        }
    # {% endif %}
