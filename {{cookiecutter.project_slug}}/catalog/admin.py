"""Products in the admin."""

from django.contrib import admin

from catalog.models import Product


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A list of products to search."""

    list_display = ("name", "price", "stock", "created_at")
    search_fields = ("name",)
