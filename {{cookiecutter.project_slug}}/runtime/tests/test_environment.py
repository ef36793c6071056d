"""The environment: secrets in files, and weak secret keys."""

import os
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
from environs import EnvError, ValidationError

from runtime.environment import Environment, strong_key, strong_keys

STRONG = "correct horse battery staple, and some more of them"


def read(**variables: str) -> str:
    """Return SECRET as read from an environment with these variables."""
    with mock.patch.dict(os.environ, variables, clear=True):
        env = Environment(secrets=["SECRET"])
        secret = env.str("SECRET", default="")
        env.seal()
        return secret


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_environment_reads_a_secret_from_a_file(end: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(f" with spaces {end}".encode())

    assert read(SECRET_FILE=f"{tmp_path}/secret") == " with spaces "
    assert read(SECRET="", SECRET_FILE=f"{tmp_path}/secret") == " with spaces "
    assert read(SECRET="set", SECRET_FILE="") == "set"


def empty(path: Path) -> None:
    path.write_text("\n")


def binary(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")


def missing(path: Path) -> None:
    assert not path.exists()


@pytest.mark.parametrize(
    ("prepare", "problem"),
    [(missing, "No such file"), (Path.mkdir, "Is a directory"), (empty, "is empty"), (binary, "not UTF-8")],
)
def test_seal_names_a_bad_file_in_one_line(prepare: Callable[[Path], None], problem: str, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    prepare(path)

    with pytest.raises(EnvError) as raised:
        read(SECRET_FILE=str(path))

    [line] = str(raised.value).splitlines()
    assert "SECRET_FILE" in line
    assert str(path) in line
    assert problem in line


def test_seal_refuses_a_secret_in_both_variable_and_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("in a file")

    with pytest.raises(EnvError, match=r"SECRET_FILE.*SECRET is set as well"):
        read(SECRET="set", SECRET_FILE=f"{tmp_path}/secret")


def test_environment_ignores_the_file_of_a_variable_that_is_not_secret(tmp_path: Path) -> None:
    with mock.patch.dict(os.environ, {"LEVEL_FILE": str(tmp_path / "missing")}):
        assert Environment(secrets=["SECRET"]).str("LEVEL", default="high") == "high"


@pytest.mark.parametrize(
    ("weak", "rule"),
    [
        ("", "0 characters, where at least 50 are needed"),
        ("development only", "16 characters, where at least 50 are needed"),
        ("abcd" * 20, "4 different characters, where at least 5 are needed"),
        (f"django-insecure-{STRONG}", "it contains django-insecure-, so it is a placeholder"),
        ('$(python -c "import secrets; print(secrets.token_urlsafe(50))")', "it contains secrets.token_urlsafe"),
    ],
)
def test_strong_keys_refuses_a_weak_key_without_showing_it(weak: str, rule: str) -> None:
    with pytest.raises(ValidationError) as raised:
        strong_keys([STRONG, weak])

    [message] = raised.value.messages
    assert rule in str(message)
    assert 'Make a key with: python -c "import secrets' in str(message)
    assert STRONG not in str(message)


def test_strong_key_accepts_a_strong_key() -> None:
    strong_key(STRONG)
