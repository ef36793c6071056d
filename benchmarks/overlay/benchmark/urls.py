"""The URLs of the workloads."""

from django.urls import path

from benchmark import views

urlpatterns = [
    path("json", views.plain_json),
    path("row", views.row),
    path("session", views.session),
    path("fan-out", views.fan_out),
    path("sleep", views.sleep),
]
