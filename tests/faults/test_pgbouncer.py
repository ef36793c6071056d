"""A service behind PgBouncer in transaction mode: everything works, except for the documented limits."""

import asyncio
import json
import random
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest
from psycopg import sql

from devtools.browser import CSRF_COOKIE, Browser
from devtools.commands import check_output
from devtools.matrix import ROOT, all_on
from devtools.production import served
from devtools.rendering import break_source, render
from devtools.servers import Server
from tests.support.contract import add_product, check_contract
from tests.support.pgbouncer import POOL_SIZE, ROLE, PgBouncer

# Concurrent clients. Each sends these requests in a random order.
CLIENTS = 60
REQUESTS = ["list", "detail", "export", "create", "reserve", "reserve"] * 4
# The products that they reserve. The stock is lower than the number of reservations.
PRODUCTS, STOCK = 4, 50


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """Return a service with every toggle on."""
    return render(all_on(), tmp_path)


def django(service: Path, database_url: str, script: str, **environment: str) -> Any:
    """Run a script in a service after `django.setup()`; return its JSON output."""
    environment = {"DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": "config.settings"} | environment
    prelude = "import json; import django; django.setup(); from django.db import connection\n"
    return json.loads(check_output(service, sys.executable, "-c", prelude + script, DEBUG="true", **environment))


def test_own_tests_pass_through_pgbouncer(service: Path, pgbouncer: PgBouncer) -> None:
    check_output(
        service,
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        DATABASE_URL=pgbouncer.database_url,
        DISABLE_SERVER_SIDE_CURSORS="true",
    )

    [transactions] = [row["total_xact_count"] for row in pgbouncer.show("stats") if row["database"].startswith("test_")]
    assert transactions > 100


def test_service_keeps_its_contract_through_pgbouncer(service: Path, pgbouncer: PgBouncer, redis_url: str) -> None:
    with served(service, all_on(), pgbouncer.database_url, redis_url, DISABLE_SERVER_SIDE_CURSORS="true") as server:
        check_contract(server.url, all_on())


def test_many_clients_share_few_connections_to_postgresql(
    service: Path, pgbouncer: PgBouncer, database_url: str, redis_url: str
) -> None:
    check_under_load(service, pgbouncer, database_url, redis_url)


def test_load_check_fails_without_a_lock_of_the_reserved_row(
    service: Path, pgbouncer: PgBouncer, database_url: str, redis_url: str
) -> None:
    break_source(service, "catalog/services.py", "objects.select_for_update()", "objects")
    with pytest.raises(AssertionError, match="stock"):
        check_under_load(service, pgbouncer, database_url, redis_url)


def check_under_load(service: Path, pgbouncer: PgBouncer, database_url: str, redis_url: str) -> None:
    """Check the connections and the rows of a service while many clients read, write and reserve."""
    with served(
        service,
        all_on(),
        pgbouncer.database_url,
        redis_url,
        WEB_CONCURRENCY="2",
        DATABASE_POOL_SIZE="20",
        DISABLE_SERVER_SIDE_CURSORS="true",
    ) as server:
        with Browser(server.url) as admin:
            admin.log_in()
            reservable = [add_product(admin, name=f"Hot {number}", stock=STOCK)["id"] for number in range(PRODUCTS)]
            cookies = admin.kept
        created, reserved, connections = asyncio.run(mixed_load(server, cookies, reservable, pgbouncer))

    assert connections > POOL_SIZE, "the service never had more connections than PgBouncer"
    with psycopg.connect(database_url) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM catalog_product WHERE name LIKE 'New %'")]
        rows = connection.execute("SELECT id, stock FROM catalog_product WHERE name LIKE 'Hot %'")
        stock: dict[int, int] = dict(rows.fetchall())
    assert sorted(names) == sorted(created)
    assert stock == {pk: STOCK - reserved[pk] for pk in reservable}, "the stock does not match the reservations"
    assert set(stock.values()) == {0}, "the clients have not reserved all pieces"


async def mixed_load(
    server: Server, cookies: dict[str, str], reservable: list[int], pgbouncer: PgBouncer
) -> tuple[list[str], Counter[int], int]:
    """Return the created names, the reserved pieces by product, and the most connections to PgBouncer."""
    created: list[str] = []
    reserved: Counter[int] = Counter()
    headers = {
        "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
        "X-CSRFToken": cookies[CSRF_COOKIE],
    }
    timeout = aiohttp.ClientTimeout(total=60)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(server.url, headers=headers, timeout=timeout, connector=connector) as session:

        async def call(method: str, path: str, statuses: set[int], body: object = None) -> int:
            async with session.request(method, path, json=body) as response:
                text = await response.text()
                assert response.status in statuses, f"{path} answered {response.status}: {text}"
                return response.status

        async def client(number: int) -> None:
            chance = random.Random(number)  # noqa: S311 (reproducible)
            for turn, request in enumerate(chance.sample(REQUESTS, len(REQUESTS))):
                pk = chance.choice(reservable)
                if request == "list":
                    await call("GET", "/api/products/", {200})
                elif request == "detail":
                    await call("GET", f"/api/products/{pk}/", {200})
                elif request == "export":
                    await call("GET", "/api/products/export/", {200})
                elif request == "create":
                    name = f"New {number}-{turn}"
                    await call("POST", "/api/products/", {201}, {"name": name, "price": "1.50"})
                    created.append(name)
                elif await call("POST", f"/api/products/{pk}/reserve/", {200, 409}, {"quantity": 1}) == 200:
                    reserved[pk] += 1

        load = asyncio.gather(*map(client, range(CLIENTS)))
        most = 0
        while not load.done():
            pools = [row for row in await asyncio.to_thread(pgbouncer.show, "pools") if row["user"] == ROLE]
            assert all(servers(row) <= POOL_SIZE for row in pools)
            most = max(most, *(row["cl_active"] + row["cl_waiting"] for row in pools))
            await asyncio.sleep(0.2)
        await load
    return created, reserved, most


def servers(pool: dict[str, Any]) -> int:
    """Return the number of connections to PostgreSQL of a pool."""
    return sum(int(count) for name, count in pool.items() if name.startswith("sv_"))


@pytest.mark.parametrize(("disabled", "outcome"), [("true", 5), ("false", "does not exist")])
def test_iterator_fails_between_chunks_unless_server_side_cursors_are_off(
    service: Path, pgbouncer: PgBouncer, disabled: str, outcome: object
) -> None:
    script = """
import os
import psycopg
from accounts.models import User
from django.core.management import call_command

call_command("migrate", verbosity=0)
User.objects.bulk_create(User(username=f"user {number}") for number in range(5))
users = User.objects.iterator(chunk_size=2)
found = [next(users)]
with psycopg.connect(os.environ["DATABASE_URL"]) as other:
    other.execute("SELECT 1")  # this transaction now holds the connection to PostgreSQL
    try:
        found += users
    except psycopg.errors.InvalidCursorName as error:
        print(json.dumps(str(error)))
    else:
        print(json.dumps(len(found)))
"""
    printed = django(service, pgbouncer.database_url, script, DISABLE_SERVER_SIDE_CURSORS=disabled)
    assert printed == outcome or str(outcome) in str(printed)


def test_session_state_leaks_to_other_clients(pgbouncer: PgBouncer) -> None:
    with psycopg.connect(pgbouncer.database_url, autocommit=True) as first:
        first.execute("SET lock_timeout = '7s'")
        first.execute("SET TIME ZONE 'Asia/Tokyo'")
        first.execute("SELECT pg_advisory_lock(1)")
        with first.transaction():
            first.execute("SET LOCAL statement_timeout = '7s'")
            first.execute("SELECT pg_advisory_xact_lock(2)")
    with psycopg.connect(pgbouncer.database_url, autocommit=True) as second:
        assert second.execute("SHOW lock_timeout").fetchone() == ("7s",)
        assert second.execute("SHOW statement_timeout").fetchone() == ("0",)
        assert second.execute("SHOW TIME ZONE").fetchone() != ("Asia/Tokyo",)
        held = """
            SELECT objid FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
            WHERE locktype = 'advisory' AND datname = current_database()
        """
        assert second.execute(held).fetchall() == [(1,)]


def test_refused_startup_parameter_can_be_set_for_the_role(pgbouncer: PgBouncer, database_url: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="unsupported startup parameter: options"):
        psycopg.connect(f"{pgbouncer.database_url}?options=-c%20statement_timeout%3D5s")

    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(sql.SQL("ALTER ROLE {} SET statement_timeout = '5s'").format(sql.Identifier(ROLE)))
        # PgBouncer then opens a new connection, which has the setting.
        owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [ROLE])
    with psycopg.connect(pgbouncer.database_url) as connection:
        assert connection.execute("SHOW statement_timeout").fetchone() == ("5s",)


CONNECTED = """
with connection.cursor() as cursor:
    cursor.execute("SHOW statement_timeout")
    timeout = cursor.fetchone()[0]
connected = connection.connection
print(json.dumps({
    "host": connected.info.host, "tls": connected.pgconn.ssl_in_use, "pool": bool(connection.pool),
    "statement_timeout": timeout, **connected.info.get_parameters(),
}))
"""
# The effect of each documented option.
OPTIONS: dict[str, dict[str, Any]] = {
    "host": {},
    "sslmode": {"tls": True, "sslmode": "verify-full"},
    "connect_timeout": {"connect_timeout": "10"},
    "application_name": {"application_name": "shop"},
    "pool": {"pool": False},
    "options": {"statement_timeout": "5s"},
}
# These are tested without PgBouncer.
DIRECT = {"host", "options"}


@pytest.mark.parametrize("name", OPTIONS)
def test_documented_option_of_the_database_url_takes_effect(
    service: Path, pgbouncer: PgBouncer, database_url: str, name: str
) -> None:
    _, _, section = (ROOT / "docs/options.md").read_text(encoding="utf-8").partition("\n## Options in DATABASE_URL\n")
    documented = dict(re.findall(r"^\| `((\w+)=\S+)` \|", section.partition("\n## ")[0], re.MULTILINE))
    assert set(documented.values()) == set(OPTIONS)
    [query] = [query for query, option in documented.items() if option == name]
    socket = database_url.partition("?host=")[2]
    if name in DIRECT:
        query = query.replace("/var/run/postgresql", socket)
        url = database_url if name == "host" else f"{database_url}&{query}"
    else:
        url = f"{pgbouncer.database_url}?{query.replace('/etc/ssl/root.pem', str(pgbouncer.certificate))}"

    connected = django(service, url, CONNECTED, DISABLE_SERVER_SIDE_CURSORS="true")

    assert OPTIONS[name].items() <= connected.items()
    assert connected["host"] == (socket if name in DIRECT else "127.0.0.1")
