"""django-bolt's own server in any Django project: `python -m peers.bolt_server module:attribute PORT`."""

import sys

from django.conf import settings
from django.core.management import execute_from_command_line

_, application, port = sys.argv
settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "django_bolt"]
settings.BOLT_API = [application]
options = ["--host", "127.0.0.1", "--port", port, "--processes", "1", "--workers", "1", "--no-admin"]
# The checks of Django's admin fail without middleware. No workload requests the admin.
options += ["--skip-checks"]
execute_from_command_line(["manage.py", "runbolt", *options])
