"""The URLs of the catalog."""

from django.urls import path

from catalog.pages import home
# {% if cookiecutter.use_async_views %}
from catalog.views.export import export
from catalog.views.products import product_detail, product_list
from catalog.views.quotes import quotes
# {% endif %}
# {% if cookiecutter.use_async_views and cookiecutter.use_orm_wrappers %}
from catalog.views.reservations import reserve
from catalog.views.users import count_users
# {% endif %}

app_name = "catalog"
urlpatterns = [
    path("", home, name="home"),
    # {% if cookiecutter.use_async_views %}
    path("api/products/", product_list, name="products"),
    path("api/products/export/", export, name="export"),
    path("api/products/<int:pk>/", product_detail, name="product"),
    path("api/products/<int:pk>/quotes/", quotes, name="quotes"),
    # {% endif %}
    # {% if cookiecutter.use_async_views and cookiecutter.use_orm_wrappers %}
    path("api/products/<int:pk>/reserve/", reserve, name="reserve"),
    path("api/users/count/", count_users, name="count-users"),
    # {% endif %}
]
