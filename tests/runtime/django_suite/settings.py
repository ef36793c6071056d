"""The settings of Django's tests, with the database engine of a rendered service."""

import os
from typing import Any

import dj_database_url

SERVICE: Any = dj_database_url.parse(os.environ["DATABASE_URL"], engine="runtime.postgres")
SERVICE.setdefault("OPTIONS", {})["pool"] = {"min_size": 0, "max_size": 4, "timeout": 10}
DATABASES = {"default": SERVICE, "other": SERVICE | {"NAME": f"{SERVICE['NAME']}_other"}}
DATABASE_STATEMENT_TIMEOUT = 60.0
DATABASE_LOCK_TIMEOUT = 60.0
# Enough for the greenlet of all tests and the greenlets of their calls.
MAX_THREADS = 20
SECRET_KEY = "of Django's tests"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
USE_TZ = False
TEST_RUNNER = "django_suite.runner.GreenletRunner"
