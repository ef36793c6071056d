"""What only shows after a while."""

import time
from pathlib import Path

import pytest

from devtools.browser import Browser
from devtools.matrix import all_on
from devtools.production import served
from devtools.rendering import render
from tests.support.contract import announce, received, socket_to

pytestmark = pytest.mark.slow(75)

ANSWERS = all_on() | {"use_postgres": False}


def test_a_silent_socket_lives_longer_than_a_minute(tmp_path: Path, redis_url: str) -> None:
    with served(render(ANSWERS, tmp_path), ANSWERS, None, redis_url) as server, Browser(server.url) as admin:
        admin.log_in()
        with socket_to(server.url, "/ws/products/") as socket:
            time.sleep(65)
            announce(admin, "Late")
            assert received(socket)["product"]["name"] == "Late"
