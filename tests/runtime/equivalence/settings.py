"""The settings of the site, before a case changes them."""

from typing import Any

SECURITY = "django.middleware.security.SecurityMiddleware"
CSP = "django.middleware.csp.ContentSecurityPolicyMiddleware"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
LOCALE = "django.middleware.locale.LocaleMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"
CONDITIONAL = "django.middleware.http.ConditionalGetMiddleware"
CSRF = "django.middleware.csrf.CsrfViewMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
MESSAGES = "django.contrib.messages.middleware.MessageMiddleware"
FRAMES = "django.middleware.clickjacking.XFrameOptionsMiddleware"

# In the order that Django's documentation recommends.
EVERY = [SECURITY, CSP, SESSIONS, LOCALE, CONDITIONAL, COMMON, CSRF, AUTHENTICATION, MESSAGES, FRAMES]
# The middleware of a new project.
USUAL = [SECURITY, SESSIONS, COMMON, CSRF, AUTHENTICATION, MESSAGES, FRAMES]

TEMPLATES = {
    "form.html": "<form>{% csrf_token %}</form>",
    "messages.html": "{% for message in messages %}{{ message.tags }}:{{ message }};{% endfor %}",
    "name.html": "Hello {{ name }}",
    "nonce.html": "<script nonce='{{ csp_nonce }}'></script>",
    "user.html": "{{ user.username }}",
}

SETTINGS: dict[str, Any] = {
    "SECRET_KEY": "the same for both",
    "ALLOWED_HOSTS": [".example.com"],
    "INSTALLED_APPS": [
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
    ],
    "MIDDLEWARE": USUAL,
    "ROOT_URLCONF": "equivalence.urls",
    "TEMPLATES": [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [("django.template.loaders.locmem.Loader", TEMPLATES)],
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.template.context_processors.csp",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ],
            },
        }
    ],
    "LANGUAGES": [("en", "English"), ("de", "German"), ("fr", "French")],
    "LANGUAGE_CODE": "en",
    "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],
    "DEFAULT_EXCEPTION_REPORTER": "equivalence.reporting.WithoutTraceback",
    "LOGGING_CONFIG": None,
    # Settings of the runtime.
    "MAX_THREADS": 4,
    "REQUEST_TIMEOUT": 15,
    "REQUEST_MAX_SIZE": 10 * 1024 * 1024,
    "REQUEST_BODY_TIMEOUT": 20.0,
    "RESPONSE_WRITE_TIMEOUT": 30.0,
    "DATABASE_STATEMENT_TIMEOUT": 5.0,
    "DATABASE_LOCK_TIMEOUT": 3.0,
}
