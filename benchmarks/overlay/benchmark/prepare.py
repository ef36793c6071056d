"""Creates the tables, one row and one session. Prints the options of the connection pool as JSON.

It runs once, in the rendered service. Every contender on Django reads these tables. The environment variable
`SESSION_KEY` names the session.
"""

import json
import os
from datetime import timedelta

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.sessions.models import Session  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from benchmark.models import Row  # noqa: E402

call_command("migrate", verbosity=0)
call_command("collectstatic", interactive=False, verbosity=0)
with connection.schema_editor() as editor:
    editor.create_model(Row)
Row.objects.create(pk=1, name="Hello")

# The session of a logged-in user, and one more key.
session = {
    "_auth_user_id": "1",
    "_auth_user_backend": "django.contrib.auth.backends.ModelBackend",
    "_auth_user_hash": "0" * 64,
    "key": "Hello",
}
Session.objects.save(os.environ["SESSION_KEY"], session, timezone.now() + timedelta(days=1))
print(json.dumps(settings.DATABASES["default"]["OPTIONS"]["pool"]))
