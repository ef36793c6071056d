"""Reads the environment with environs, secrets also from files, and checks the strength of secret keys."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from environs import Env, EnvValidationError, ValidationError

from runtime.compat import require

require(Env, "_get_value")

# The minimum lengths of Django's security.W009.
MIN_KEY_LENGTH = 50
MIN_DIFFERENT_CHARACTERS = 5
# `startproject` writes the first into settings.py. The second is the command below, copied into .env unexpanded.
PLACEHOLDERS = ("django-insecure-", "secrets.token_urlsafe")
MAKE_A_KEY = 'python -c "import secrets; print(secrets.token_urlsafe(50))"'


class Environment(Env):
    """Reads the variable NAME, or for a secret the file at the path in NAME_FILE."""

    def __init__(self, secrets: Collection[str]) -> None:
        super().__init__(eager=False)
        self.secrets = secrets
        self.file_errors: dict[str, list[Any]] = {}

    def _get_value(self, env_key: str, default: Any) -> Any:
        """Return the text of a variable or its file. Overridden as in environs' FileAwareEnv."""
        file_key = f"{env_key}_FILE"
        path = super()._get_value(file_key, "") if env_key in self.secrets else ""
        if not path:
            return super()._get_value(env_key, default)
        try:
            if super()._get_value(env_key, ""):
                raise ValidationError(f"{env_key} is set as well. Unset one of them.")
            return read_secret(path)
        except ValidationError as error:
            self.file_errors[file_key] = list(error.messages)
            return default

    def seal(self) -> None:
        """Raise EnvValidationError for all bad files, or else for all bad variables.

        A bad file leaves its variable unset, which would be reported as well.
        """
        if self.file_errors:
            raise EnvValidationError(f"Environment variables invalid: {self.file_errors}", self.file_errors)
        super().seal()


def read_secret(path: str) -> str:
    """Return the text of a file without its last line break. Raises ValidationError with the path."""
    try:
        text = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise ValidationError(f"Cannot read {path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ValidationError(f"Cannot read {path}: it is not UTF-8 text.") from None
    if not text.strip():
        raise ValidationError(f"{path} is empty.")
    return text


def strong_key(key: str) -> None:
    """Raise ValidationError for a secret key that can be guessed. The error does not contain the key."""
    if len(key) < MIN_KEY_LENGTH:
        problem = f"{len(key)} characters, where at least {MIN_KEY_LENGTH} are needed"
    elif len(set(key)) < MIN_DIFFERENT_CHARACTERS:
        problem = f"{len(set(key))} different characters, where at least {MIN_DIFFERENT_CHARACTERS} are needed"
    elif placeholder := next((each for each in PLACEHOLDERS if each in key), None):
        problem = f"it contains {placeholder}, so it is a placeholder"
    else:
        return
    raise ValidationError(f"Too weak: {problem}. Make a key with: {MAKE_A_KEY}")


def strong_keys(keys: list[str]) -> None:
    """Raise ValidationError if one of the secret keys can be guessed."""
    for key in keys:
        strong_key(key)
