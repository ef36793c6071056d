"""What only shows after a while."""

import time
from pathlib import Path

from contract import Browser, announce, received, socket_to
from matrix import all_on
from rendering import render
from serving import served

ANSWERS = all_on() | {"use_postgres": False}


def test_a_silent_socket_lives_longer_than_a_minute(tmp_path: Path, redis_url: str) -> None:
    with served(render(ANSWERS, tmp_path), ANSWERS, None, redis_url) as server, Browser(server.url) as admin:
        admin.log_in()
        with socket_to(server.url, "/ws/products/") as socket:
            time.sleep(65)
            announce(admin, "Late")
            assert received(socket)["product"]["name"] == "Late"
