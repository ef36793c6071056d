"""The service's settings, made the same on every machine: only what it depends on comes from the environment."""

import os

os.environ |= {
    "DEBUG": "true",
    "SECRET_KEY": "for tests only",
    "ALLOWED_HOSTS": "testserver,localhost",
    "CSRF_TRUSTED_ORIGINS": "",
    "ADMIN_PATH": "admin/",
    # {% if cookiecutter.use_async_views %}
    "SUPPLIER_URLS": "",
    # {% endif %}
    "LOG_LEVEL": "INFO",
}

from config.settings import *  # noqa: F403

# Fast, and safe enough for users who live for one test.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Looking for every static file would take most of a test's time; the tests of static files turn it on.
SERVESTATIC_USE_FINDERS = False
SERVESTATIC_USE_STATIC_ROOT = False
SERVESTATIC_AUTOREFRESH = False
# {% if cookiecutter.use_channels %}
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
# {% endif %}
# {% if not cookiecutter.use_postgres %}
# In a file, as in production: SQLite's databases in memory lock differently.
DATABASES["default"]["TEST"] = {"NAME": BASE_DIR / "test.sqlite3"}  # noqa: F405
# {% endif %}
