"""Production settings of a running service: HSTS, secret keys and the mode of the database file."""

import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect
from websockets.typing import Origin

from devtools.browser import Browser
from devtools.commands import run
from devtools.matrix import SERVERS, all_off
from devtools.ports import free_port
from devtools.production import make_commands, production_environment, served
from devtools.rendering import render
from devtools.servers import Server, booted

# A proxy that terminates TLS sends this header.
TLS = {"X-Forwarded-Proto": "https"}
PROXY = "127.0.0.1"
# Without commas, which separate the keys in SECRET_KEY_FALLBACKS.
OLD_KEY = "a key that only these tests know and that has more than fifty characters"
NEW_KEY = "another key that only these tests know, with more than fifty characters"


@pytest.fixture
def loose_umask() -> Iterator[None]:
    """Set a umask of 0, so that processes create files that all users can read and write by default."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path, pattern: str) -> dict[str, int]:
    """Return the permissions of files."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.glob(pattern)}


@pytest.mark.parametrize("server", SERVERS)
def test_hsts_covers_this_host_only_by_default(server: str, tmp_path: Path) -> None:
    answers = all_off(server)
    with served(render(answers, tmp_path), answers, None, None, TRUSTED_PROXIES=PROXY) as running:
        headers = httpx.get(running.url, headers=TLS).headers

    assert headers["Strict-Transport-Security"] == "max-age=31536000"


def test_hsts_duration_subdomains_and_preload_follow_the_environment(tmp_path: Path) -> None:
    service = render(all_off(), tmp_path)
    with served(service, all_off(), None, None, TRUSTED_PROXIES=PROXY, SECURE_HSTS_SECONDS="60") as running:
        assert httpx.get(running.url, headers=TLS).headers["Strict-Transport-Security"] == "max-age=60"
    extended = {"SECURE_HSTS_INCLUDE_SUBDOMAINS": "true", "SECURE_HSTS_PRELOAD": "true"}
    with booted_again(service, TRUSTED_PROXIES=PROXY, **extended) as running:
        header = httpx.get(running.url, headers=TLS).headers["Strict-Transport-Security"]
    assert header == "max-age=31536000; includeSubDomains; preload"


def booted_again(service: Path, redis_url: str | None = None, **variables: str) -> AbstractContextManager[Server]:
    """Boot a service that `served` has prepared before."""
    port = free_port()
    environment = production_environment(all_off() | {"use_channels": redis_url is not None}, None, redis_url)
    command = shlex.split(make_commands(service, "serve", PORT=port)[-1])
    return booted(service, "env", *command, port=port, **environment | {"SHUTDOWN_DELAY": "0"} | variables)


def test_new_database_file_is_private_and_the_mode_of_an_old_one_is_kept(tmp_path: Path, loose_umask: None) -> None:
    service = render(all_off(), tmp_path)
    with served(service, all_off(), None, None) as running, Browser(running.url) as admin:
        admin.log_in()
        # With open connections, because SQLite removes its two other files with the last one.
        assert set(modes(service, "db.sqlite3*").values()) == {0o600}

    (service / "db.sqlite3").chmod(0o660)
    with booted_again(service) as running, Browser(running.url) as admin:
        admin.log_in()
        assert set(modes(service, "db.sqlite3*").values()) == {0o660}


def response_to_ping(running: Server, cookies: dict[str, str]) -> str:
    """Return the response to a ping of a WebSocket with a session."""
    address = running.url.replace("http", "ws", 1) + "/ws/products/"
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    with connect(address, additional_headers={"Cookie": cookie}, origin=Origin(running.url)) as socket:
        socket.send('{"type": "ping"}')
        return str(socket.recv(timeout=20))


def test_sessions_survive_the_rotation_of_the_secret_key(tmp_path: Path, redis_url: str) -> None:
    answers = all_off() | {"use_channels": True}
    service = render(answers, tmp_path)
    (tmp_path / "key").write_text(f"{NEW_KEY}\n", encoding="utf-8")
    with served(service, answers, None, redis_url, SECRET_KEY=OLD_KEY) as running, Browser(running.url) as browser:
        browser.log_in()
        kept = dict(browser.kept)

    # This time the key is read from a file.
    rotated = {"SECRET_KEY": "", "SECRET_KEY_FILE": f"{tmp_path}/key", "SECRET_KEY_FALLBACKS": OLD_KEY}
    with booted_again(service, redis_url, **rotated) as running, Browser(running.url) as browser:
        # A WebSocket cannot store a new session hash, and must not end the session.
        assert response_to_ping(running, kept) == '{"type": "pong"}'
        browser.kept = dict(kept)
        assert browser.get("/admin/").status_code == 200
        kept = dict(browser.kept)

    # The session now has the hash of the new key, so the old key can be removed.
    rotated["SECRET_KEY_FALLBACKS"] = ""
    with booted_again(service, redis_url, **rotated) as running, Browser(running.url) as browser:
        browser.kept = kept
        assert browser.get("/admin/").status_code == 200


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SECRET_KEY": "development only"}, ["'SECRET_KEY'", "at least 50", "secrets.token_urlsafe(50)"]),
        ({"SECRET_KEY_FALLBACKS": "x" * 60}, ["'SECRET_KEY_FALLBACKS'", "1 different", "secrets.token_urlsafe(50)"]),
        ({"SECRET_KEY": "", "SECRET_KEY_FILE": "/nowhere"}, ["'SECRET_KEY_FILE'", "/nowhere", "No such file"]),
        ({"SECRET_KEY_FILE": "/dev/null"}, ["'SECRET_KEY_FILE'", "SECRET_KEY is set as well"]),
    ],
)
def test_server_refuses_a_bad_secret_key_in_one_line(
    variables: dict[str, str], expected: list[str], tmp_path: Path
) -> None:
    service = render(all_off(), tmp_path)
    # The render has written a development key to it.
    (service / ".env").unlink()
    command = shlex.split(make_commands(service, "serve", PORT=free_port())[-1])

    refused = run(service, "env", *command, **production_environment(all_off(), None, None) | variables)

    assert refused.returncode == 1
    [line] = refused.stderr.splitlines()
    assert all(each in line for each in expected), line
