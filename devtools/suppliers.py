"""Suppliers on loopback that a service requests: each answers with a price, slowly, never or with an error."""

import contextlib
import http.server
import json
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from devtools.commands import TIMEOUT

HANG_DURATION = 4 * TIMEOUT  # seconds that the hanging supplier takes


class Suppliers(http.server.BaseHTTPRequestHandler):
    """Answers as each supplier does at its path."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        name = urllib.parse.parse_qs(query)["product"][0]
        if path == "/slow":
            time.sleep(0.3)
        elif path == "/hanging":
            time.sleep(HANG_DURATION)
        body = b"?" if path == "/broken" else json.dumps({"price": f"{len(name)}.50"}).encode()
        self.send_response(500 if path == "/failing" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):  # the service has stopped waiting for the hanging supplier
            self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Log nothing."""


@contextmanager
def suppliers() -> Iterator[str]:
    """Serve the suppliers; yield the value of SUPPLIER_URLS, which also has an address that refuses connections."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Suppliers) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        yield ",".join(
            [*(f"{base}/{path}" for path in ("good", "slow", "hanging", "broken", "failing")), "http://127.0.0.1:9/"]
        )
        server.shutdown()
