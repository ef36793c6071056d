"""A WebSocket that is idle for more than a minute."""

import time
from pathlib import Path

import pytest

from devtools.browser import Browser
from devtools.matrix import all_on
from devtools.production import served
from devtools.rendering import render
from tests.support.contract import add_product_in_admin, open_socket, receive_message

pytestmark = pytest.mark.slow(75)

ANSWERS = all_on() | {"use_postgres": False}


def test_socket_that_is_idle_for_65_seconds_receives_messages(tmp_path: Path, redis_url: str) -> None:
    with served(render(ANSWERS, tmp_path), ANSWERS, None, redis_url) as server, Browser(server.url) as admin:
        admin.log_in()
        with open_socket(server.url, "/ws/products/") as socket:
            time.sleep(65)
            add_product_in_admin(admin, "Late")
            assert receive_message(socket)["product"]["name"] == "Late"
