"""The URLs of the workloads in the rendered service, including the broadcast."""

from django.urls import path

from benchmark import broadcast, urls

urlpatterns = [*urls.urlpatterns, path("publish", broadcast.publish)]
