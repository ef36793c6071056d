"""The URLs of a site where every language except the default one has a prefix."""

from django.conf.urls.i18n import i18n_patterns
from django.urls import path
from equivalence.subjects.languages import greet

urlpatterns = i18n_patterns(path("greet/", greet), prefix_default_language=False)
