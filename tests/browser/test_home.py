"""The page at `/` under its own Content Security Policy in a real browser."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from devtools.browser import CSRF_COOKIE, SESSION_COOKIE
from devtools.matrix import all_off
from devtools.rendering import break_source, render
from tests.browser.conftest import Site, served_over_tls
from tests.browser.console import Console

POWERFUL = ("camera", "geolocation", "microphone", "payment", "usb")


def check_home(page: Page, site: Site) -> None:
    """Check that the home page is complete: its styles, its icon and, with Channels, its WebSocket."""
    with page.expect_response("**/icon*.svg") as icon:
        page.goto("/")
    assert icon.value.status == 200
    expect(page.locator("h1")).to_have_text("Async Django Service")
    assert page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth") == "640px"
    if site.answers["use_channels"]:
        expect(page.locator("#feed-state")).to_have_text("Connected.")


def test_home_page_loads_its_styles_icon_and_socket(page: Page, site: Site) -> None:
    check_home(page, site)


def test_home_page_shows_a_saved_product(
    context: BrowserContext, page: Page, site: Site, log_in: Callable[[Page], None]
) -> None:
    check_home(page, site)
    if not site.answers["use_channels"]:
        expect(page.locator("#feed")).to_have_count(0)
        return
    admin = context.new_page()
    log_in(admin)
    admin.goto("/admin/catalog/product/add/")
    admin.fill("#id_name", "Lamp")
    admin.fill("#id_price", "12.50")
    admin.fill("#id_stock", "3")
    admin.click("input[name=_save]")
    expect(page.locator("#feed li").first).to_have_text("Lamp: 12.50 (3 in stock)")


def test_injected_inline_script_is_blocked(page: Page, console: Console) -> None:
    page.goto("/")
    page.evaluate(
        "() => { const script = document.createElement('script'); script.textContent = 'window.ran = true';"
        " document.body.append(script); }"
    )

    assert page.evaluate("window.ran") is None
    [message] = console.take()
    assert "Content Security Policy directive 'script-src 'self''" in message


def test_page_of_another_origin_cannot_embed_the_home_page(page: Page, site: Site) -> None:
    other = site.url.replace("localhost", "127.0.0.1")
    html = f'<iframe src="{site.url}/"></iframe>'
    page.route(f"{other}/frame", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto(f"{other}/frame")

    [frame] = page.frames[1:]
    expect(frame.locator("h1")).not_to_have_text("Async Django Service")
    assert frame.url == "chrome-error://chromewebdata/"


def test_home_page_may_not_use_powerful_features(page: Page) -> None:
    page.goto("/")
    allowed = page.evaluate("document.featurePolicy.allowedFeatures()")

    assert "fullscreen" in allowed
    assert not set(POWERFUL) & set(allowed)


def test_cookies_are_secure_and_bound_to_the_host(admin: Page, context: BrowserContext) -> None:
    cookies = {cookie["name"]: cookie for cookie in context.cookies()}

    assert set(cookies) == {SESSION_COOKIE, CSRF_COOKIE}
    assert all(cookie["secure"] and cookie["path"] == "/" for cookie in cookies.values())
    assert cookies[SESSION_COOKIE]["httpOnly"]


def test_console_check_fails_for_an_inline_script_in_the_template(
    chromium: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    answers, directory = all_off(), tmp_path_factory.mktemp("broken")
    service = render(answers, directory / "service")
    break_source(service, "catalog/templates/catalog/home.html", "<main>", "<main><script>window.ran = true</script>")
    with served_over_tls(service, answers, None, None, directory) as site:
        context = chromium.new_context(base_url=site.url, ignore_https_errors=True)
        console = Console(context)
        check_home(context.new_page(), site)
        with pytest.raises(AssertionError, match="Content Security Policy"):
            console.check()
        context.close()
