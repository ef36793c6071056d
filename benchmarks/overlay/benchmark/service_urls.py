"""Where the paths of the workloads lead in the rendered service, which has WebSockets too."""

from django.urls import path

from benchmark import broadcast, urls

urlpatterns = [*urls.urlpatterns, path("publish", broadcast.publish)]
