"""The URLs of the site."""

from equivalence.subjects import SUBJECTS

urlpatterns = [pattern for subject in SUBJECTS for pattern in subject.urlpatterns]
