"""The settings for tests. They are the same on every machine, except for the addresses of backends."""

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

# A fast hasher: the passwords of tests need no protection.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Finding the static files would take most of the time of a test. Tests of static files turn it on.
SERVESTATIC_USE_FINDERS = False
SERVESTATIC_USE_STATIC_ROOT = False
SERVESTATIC_AUTOREFRESH = False
# {% if cookiecutter.use_channels %}
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
# {% endif %}
# {% if not cookiecutter.use_postgres %}
# A file, as in production. SQLite locks an in-memory database in a different way.
DATABASES["default"]["TEST"] = {"NAME": BASE_DIR / "test.sqlite3"}  # noqa: F405
# {% endif %}
