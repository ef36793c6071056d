"""The paths of a site whose languages have a prefix, but for its own."""

from django.conf.urls.i18n import i18n_patterns
from django.urls import path
from equivalence.subjects.languages import greet

urlpatterns = i18n_patterns(path("greet/", greet), prefix_default_language=False)
