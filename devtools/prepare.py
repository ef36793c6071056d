"""Does in one process what `make serve` does before it starts the server, and adds a superuser for the tests."""

import os
import sys
from pathlib import Path

import django
from django.core.management import call_command

sys.path.insert(0, str(Path.cwd()))
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
django.setup()
call_command("check", deploy=True, fail_level="WARNING")
call_command("makemigrations", check=True, dry_run=True, verbosity=0)
call_command("migrate", verbosity=0)
call_command("collectstatic", interactive=False, verbosity=0)

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import PBKDF2PasswordHasher

# One iteration, so that it is computed at once. The first login replaces it with a hash of full strength.
password = PBKDF2PasswordHasher().encode(os.environ["SUPERUSER_PASSWORD"], "salt", iterations=1)
get_user_model().objects.create(
    username=os.environ["SUPERUSER_NAME"], password=password, is_staff=True, is_superuser=True
)
