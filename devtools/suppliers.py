"""Suppliers for a service to ask, on loopback: they quote, are slow, hang or break."""

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

# Seconds that the hanging supplier takes.
HANGING = 4 * TIMEOUT


class Suppliers(http.server.BaseHTTPRequestHandler):
    """Suppliers that quote, dawdle and break, each at its path."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        name = urllib.parse.parse_qs(query)["product"][0]
        if path == "/slow":
            time.sleep(0.3)
        elif path == "/hanging":
            time.sleep(HANGING)
        body = b"?" if path == "/broken" else json.dumps({"price": f"{len(name)}.50"}).encode()
        self.send_response(500 if path == "/failing" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):  # nobody waits for the one that hangs
            self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Keep quiet."""


@contextmanager
def suppliers() -> Iterator[str]:
    """Serve the suppliers; yield the value for SUPPLIER_URLS that names them all, and one that is not there."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Suppliers) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        yield ",".join(
            [*(f"{base}/{path}" for path in ("good", "slow", "hanging", "broken", "failing")), "http://127.0.0.1:9/"]
        )
        server.shutdown()
