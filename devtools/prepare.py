"""What `make serve` does before it starts the server, in one process, and a superuser for the tests."""

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

# A hash that takes no time to make; logging in replaces it by one of full strength.
password = PBKDF2PasswordHasher().encode(os.environ["SUPERUSER_PASSWORD"], "salt", iterations=1)
get_user_model().objects.create(
    username=os.environ["SUPERUSER_NAME"], password=password, is_staff=True, is_superuser=True
)
