"""The admin under the Content Security Policy of the service: the tasks of a superuser in a real browser."""

import re
from urllib.parse import urljoin, urlsplit

from playwright.sync_api import BrowserContext, Page, expect

from devtools.browser import CSRF_COOKIE, PASSWORD, SESSION_COOKIE, USERNAME
from tests.browser.console import Console

NEW_PASSWORD = "another correct horse"


def links(page: Page) -> set[str]:
    """Return the paths of the admin to which a page links. A filtered list has none, so filters are not combined."""
    if urlsplit(page.url).query:
        return set()
    hrefs: list[str] = page.eval_on_selector_all("a[href]", "links => links.map(link => link.getAttribute('href'))")
    found = {urlsplit(urljoin(page.url, href)) for href in hrefs}
    return {
        f"{url.path}?{url.query}".rstrip("?")
        for url in found
        if url.path.startswith("/admin/") and url.netloc == urlsplit(page.url).netloc
    }


def save(page: Page, button: str = "_save") -> None:
    """Submit a form of the admin, and wait for its success message."""
    page.click(f"input[name={button}]")
    expect(page.locator(".messagelist .success")).to_be_visible()


def add_user(page: Page, name: str) -> None:
    """Add a user; the page is then the form with all fields of the user."""
    page.goto("/admin/accounts/user/add/")
    page.fill("#id_username", name)
    page.fill("#id_password1", NEW_PASSWORD)
    page.fill("#id_password2", NEW_PASSWORD)
    save(page)
    expect(page.locator("#id_last_login_0")).to_be_visible()


def add_product(page: Page, name: str) -> None:
    """Add a product; the page is then the list of products."""
    page.goto("/admin/catalog/product/add/")
    page.fill("#id_name", name)
    page.fill("#id_price", "12.50")
    page.fill("#id_stock", "3")
    save(page)


def test_every_linked_page_responds_with_200(admin: Page) -> None:
    add_product(admin, "Linked")
    add_user(admin, "linked")
    todo, seen = {"/admin/"}, set[str]()
    while todo:
        path = todo.pop()
        seen.add(path)
        response = admin.goto(path)
        assert response is not None
        assert response.status == 200, path
        todo |= links(admin) - seen
        assert len(seen) < 150, "the admin links to an unbounded number of pages"
    kinds = {re.sub(r"\d+", "<id>", path.partition("?")[0]) for path in seen}
    assert {
        "/admin/accounts/",
        "/admin/accounts/user/",
        "/admin/accounts/user/<id>/change/",
        "/admin/accounts/user/<id>/delete/",
        "/admin/accounts/user/<id>/history/",
        "/admin/accounts/user/<id>/password/",
        "/admin/accounts/user/add/",
        "/admin/auth/group/",
        "/admin/auth/group/add/",
        "/admin/catalog/product/",
        "/admin/catalog/product/<id>/change/",
        "/admin/catalog/product/add/",
        "/admin/password_change/",
    } <= kinds


def test_date_and_time_pickers_fill_their_fields(admin: Page) -> None:
    add_user(admin, "picky")
    day, time = admin.locator("#id_date_joined_0"), admin.locator("#id_date_joined_1")

    admin.locator(".field-date_joined .datetimeshortcuts a", has_text="Today").click()
    expect(day).to_have_value(re.compile(r"\d{4}-\d\d-\d\d"))
    admin.locator(".field-date_joined .datetimeshortcuts a", has_text="Now").click()
    expect(time).to_have_value(re.compile(r"\d\d:\d\d:\d\d"))
    admin.locator(".field-date_joined .date-icon").click()
    expect(admin.locator(".calendarbox:visible")).to_be_visible()
    admin.locator(".calendarbox:visible .calendarnav-previous").click()
    admin.locator(".calendarbox:visible td a", has_text=re.compile("^15$")).click()
    expect(day).to_have_value(re.compile(r"\d{4}-\d\d-15"))
    admin.locator(".field-date_joined .clock-icon").click()
    admin.locator(".clockbox:visible a", has_text="Noon").click()
    expect(time).to_have_value("12:00:00")
    save(admin, "_continue")
    expect(day).to_have_value(re.compile(r"\d{4}-\d\d-15"))


def test_user_form_saves_chosen_permissions_and_groups_of_a_popup(admin: Page) -> None:
    add_user(admin, "chosen")
    admin.fill("#id_user_permissions_input", "add product")
    admin.locator("#id_user_permissions_from option:visible").first.click()
    admin.click("#id_user_permissions_add")
    expect(admin.locator("#id_user_permissions_to option")).to_have_count(1)

    with admin.expect_popup() as opened:
        admin.click("#add_id_groups")
    popup = opened.value
    popup.fill("#id_name", "Editors")
    with popup.expect_event("close"):
        popup.click("input[name=_save]")
    expect(admin.locator("#id_groups_to option")).to_have_text(["Editors"])
    save(admin, "_continue")
    expect(admin.locator("#id_groups_to option")).to_have_text(["Editors"])
    expect(admin.locator("#id_user_permissions_to option")).to_have_count(1)

    admin.goto("/admin/accounts/user/")
    admin.locator("#changelist-filter a", has_text="Editors").click()
    expect(admin.locator("#result_list tbody tr")).to_have_count(1)
    expect(admin.locator("#result_list")).to_contain_text("chosen")


def test_superuser_changes_the_password_of_a_user_and_deletes_the_user(admin: Page) -> None:
    add_user(admin, "short-lived")
    admin.click("a[href$='/password/']")
    admin.locator("#id_usable_password_1").click()
    expect(admin.locator("#id_password1")).to_be_hidden()
    admin.locator("#id_usable_password_0").click()
    admin.fill("#id_password1", f"{NEW_PASSWORD}!")
    admin.fill("#id_password2", f"{NEW_PASSWORD}!")
    admin.click("input[name=set-password]")
    expect(admin.locator(".messagelist .success")).to_be_visible()

    admin.click(".historylink")
    expect(admin.locator("#change-history")).to_contain_text("Changed password.")
    admin.go_back()
    admin.click(".deletelink")
    admin.click(".cancel-link")
    admin.click(".deletelink")
    admin.click("input[type=submit]")
    expect(admin.locator(".messagelist .success")).to_contain_text("short-lived")


def test_superuser_changes_their_own_password(admin: Page) -> None:
    # The new password is the old one, because the other tests log in with it.
    admin.goto("/admin/password_change/")
    admin.fill("#id_old_password", "wrong")
    admin.fill("#id_new_password1", PASSWORD)
    admin.fill("#id_new_password2", PASSWORD)
    admin.click("input[type=submit]")
    expect(admin.locator(".errorlist").first).to_be_visible()
    admin.fill("#id_old_password", PASSWORD)
    admin.fill("#id_new_password1", PASSWORD)
    admin.fill("#id_new_password2", PASSWORD)
    admin.click("input[type=submit]")
    admin.wait_for_url("**/password_change/done/")


def test_product_list_searches_sorts_changes_and_deletes(admin: Page) -> None:
    for name in ("Bench", "Bench press", "Bed"):
        add_product(admin, name)
    admin.fill("#searchbar", "bench")
    admin.press("#searchbar", "Enter")
    rows = admin.locator("#result_list tbody tr")
    expect(rows).to_have_count(2)
    admin.click(".column-name a")
    expect(rows).to_have_count(2)

    admin.locator("#result_list a", has_text="Bench press").click()
    admin.fill("#id_price", "-1")
    admin.click("input[name=_save]")
    expect(admin.locator(".errornote")).to_be_visible()
    admin.fill("#id_price", "7.00")
    save(admin, "_addanother")

    admin.goto("/admin/catalog/product/?q=be")
    admin.check("#action-toggle")
    expect(admin.locator(".action-counter")).to_contain_text("3 of 3")
    admin.select_option("select[name=action]", "delete_selected")
    admin.click("button[name=index]")
    admin.click("input[type=submit]")
    expect(admin.locator(".messagelist .success")).to_contain_text("3 products")


def test_theme_is_remembered_and_sidebar_filters_and_collapses(admin: Page) -> None:
    admin.goto("/admin/catalog/product/")
    html = admin.locator("html")
    themes = set()
    for _ in range(3):
        admin.locator(".theme-toggle:visible").first.click()
        themes.add(html.get_attribute("data-theme"))
    assert themes == {"auto", "dark", "light"}
    while html.get_attribute("data-theme") != "dark":
        admin.locator(".theme-toggle:visible").first.click()
    admin.reload()
    expect(html).to_have_attribute("data-theme", "dark")
    assert admin.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 18, 18)"

    main = admin.locator("#main")
    expect(main).to_have_class(re.compile("shifted"))
    admin.fill("#nav-filter", "gro")
    expect(admin.locator("#nav-sidebar tr.model-product")).to_be_hidden()
    expect(admin.locator("#nav-sidebar tr.model-group")).to_be_visible()
    admin.click("#toggle-nav-sidebar")
    expect(main).not_to_have_class(re.compile("shifted"))


def test_logout_clears_storage_and_the_session_cookie(admin: Page, context: BrowserContext) -> None:
    admin.evaluate("localStorage.setItem('draft', 'secret')")
    with admin.expect_response("**/admin/logout/") as response:
        admin.click("#logout-form button")
    assert response.value.all_headers()["clear-site-data"] == '"cache", "storage"'
    expect(admin.locator("h1")).to_have_text("Logged out")

    assert admin.evaluate("localStorage.getItem('draft')") is None
    assert {cookie["name"] for cookie in context.cookies()} <= {CSRF_COOKIE}
    # The page is complete, and its link leads to the login.
    admin.click("a[href='/admin/']")
    expect(admin.locator("#id_username")).to_be_visible()


def test_login_with_a_wrong_password_or_no_csrf_token_is_refused(
    page: Page, console: Console, context: BrowserContext
) -> None:
    page.goto("/admin/login/")
    page.fill("#id_username", USERNAME)
    page.fill("#id_password", "wrong")
    page.click("input[type=submit]")
    expect(page.locator(".errornote")).to_be_visible()
    assert SESSION_COOKIE not in {cookie["name"] for cookie in context.cookies()}

    page.evaluate("document.querySelector('[name=csrfmiddlewaretoken]').remove()")
    page.fill("#id_password", "wrong")
    page.click("input[type=submit]")
    expect(page.locator("h1")).to_contain_text("Forbidden")
    # The inline style has a nonce, so it violates no policy. Chromium may request /favicon.ico, which does not exist.
    messages = console.take()
    assert any("the server responded with a status of 403" in message for message in messages)
    assert all("the server responded with a status of 40" in message for message in messages)
    assert page.evaluate("getComputedStyle(document.querySelector('h1')).fontWeight") == "400"
