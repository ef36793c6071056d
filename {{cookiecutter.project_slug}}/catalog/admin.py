"""Products in the admin."""

from django.contrib import admin

from catalog.models import Product


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Products, searchable by name."""

    list_display = ("name", "price", "stock", "created_at")
    search_fields = ("name",)
