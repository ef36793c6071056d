"""The URLs of a site where every language has a prefix."""

from django.conf.urls.i18n import i18n_patterns
from django.urls import path
from equivalence.subjects.languages import greet

urlpatterns = [path("anywhere/", greet), *i18n_patterns(path("greet/", greet))]
