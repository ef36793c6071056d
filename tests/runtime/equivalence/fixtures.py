"""The rows of the database before each case."""

from datetime import UTC, datetime, timedelta
from typing import Any

# The time of every case: the clock stands still.
NOW = datetime(2027, 1, 15, 8, tzinfo=UTC)

NAME = "ada"
PASSWORD = "difference engine"

# The keys of sessions.
KNOWN = "known000000000000000000000000000"
EXPIRED = "expired0000000000000000000000000"
LOGGED_IN = "loggedin000000000000000000000000"
OUTDATED = "outdated000000000000000000000000"
# The secret in CSRF cookies and, with CSRF_USE_SESSIONS, in each session.
SECRET = "s" * 32


def populate() -> None:
    """Create a user and sessions."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.auth.models import User

    user = User.objects.create_user(NAME, password=PASSWORD, date_joined=NOW)
    login = {
        SESSION_KEY: str(user.pk),
        BACKEND_SESSION_KEY: "django.contrib.auth.backends.ModelBackend",
        HASH_SESSION_KEY: user.get_session_auth_hash(),
    }
    create_session(KNOWN, {"seen": 1})
    create_session(EXPIRED, {"seen": 1}, timedelta(days=-1))
    create_session(LOGGED_IN, login)
    create_session(OUTDATED, login | {HASH_SESSION_KEY: "of an older password"})


def create_session(key: str, data: dict[str, Any], age: timedelta = timedelta(days=1)) -> None:
    """Create a session that expires after `age`."""
    from django.contrib.sessions.models import Session

    encoded = Session.get_session_store_class()().encode(data | {"_csrftoken": SECRET})
    Session.objects.create(session_key=key, session_data=encoded, expire_date=NOW + age)
