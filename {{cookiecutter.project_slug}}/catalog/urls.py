"""Where each path of the catalog leads."""

from django.urls import path

# {% if cookiecutter.use_async_views %}
from catalog import views
# {% endif %}
from catalog.pages import home

app_name = "catalog"
urlpatterns = [
    path("", home, name="home"),
    # {% if cookiecutter.use_async_views %}
    path("api/products/", views.products, name="products"),
    path("api/products/export/", views.export, name="export"),
    path("api/products/<int:pk>/", views.product, name="product"),
    path("api/products/<int:pk>/quotes/", views.quotes, name="quotes"),
    # {% endif %}
    # {% if cookiecutter.use_async_views and cookiecutter.use_orm_wrappers %}
    path("api/products/<int:pk>/reserve/", views.reserve, name="reserve"),
    path("api/users/count/", views.count_users, name="count-users"),
    # {% endif %}
]
