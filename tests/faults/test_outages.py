"""What a service depends on is down, hangs or is slow, and comes back: what clients are told, and that it heals."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from booting import Server
from contract import Browser
from matrix import SERVERS, all_on
from proxy import Proxy, proxied
from rendering import render
from serving import served

# Seconds: of each request, of each statement and lock, and what a busy machine may add.
REQUEST, STATEMENT, LOCK = 6, 2, 1
SLACK = 4
# Seconds that the service has to be its old self again once all is well.
HEALING = 12


@dataclass
class Served:
    """A service, and what stands between it and its database."""

    server: Server
    database: Proxy

    def get(self, path: str, timeout: float = REQUEST + SLACK) -> httpx.Response:
        return httpx.get(self.server.url + path, timeout=timeout)


@pytest.fixture(params=SERVERS)
def service(
    request: pytest.FixtureRequest, tmp_path: Path, postgres_socket: str, database_url: str, redis_url: str
) -> Iterator[Served]:
    """Serve a service with every toggle on, behind a proxy in front of its database."""
    answers = all_on(request.param)
    limits = {
        "REQUEST_TIMEOUT": str(REQUEST),
        "DATABASE_STATEMENT_TIMEOUT": str(STATEMENT),
        "DATABASE_LOCK_TIMEOUT": str(LOCK),
        "DATABASE_POOL_SIZE": "5",
    }
    name = database_url.partition("@/")[2].partition("?")[0]
    with proxied(f"{postgres_socket}/.s.PGSQL.5432") as database:
        url = f"postgresql://postgres:@127.0.0.1:{database.port}/{name}"
        with served(render(answers, tmp_path), answers, url, redis_url, **limits) as server:
            yield Served(server, database)
