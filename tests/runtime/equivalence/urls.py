"""Where each path of the site leads."""

from equivalence.subjects import SUBJECTS

urlpatterns = [pattern for subject in SUBJECTS for pattern in subject.urlpatterns]
