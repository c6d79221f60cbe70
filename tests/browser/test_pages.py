"""Pages in a browser: they refresh, fit, are accessible, and request nothing from other hosts."""

import re

import pytest
from playwright.sync_api import expect
from screens import CONTRAST, RULES, barriers, expect_to_fit

NEW_PASSWORD = "Another8Horse"


def addresses(page) -> dict[str, str]:
    """One URL for each kind of page."""
    page.goto("/?view=table&sort=-errors")
    run = page.locator("td[data-label=Status] a").first.get_attribute("href")
    server = page.locator("td[data-label=Server] a").first.get_attribute("href")
    job = page.locator("th[data-label='Backup job'] a").first.get_attribute("href")
    fixed = {
        name: name
        for name in (
            "/?view=cards&panel=status",
            "/?view=table&panel=charts",
            "/?view=compact&panel=charts",
            "/?q=nothing",
            "/connect",
            "/charts",
            "/change-password",
            "/collect",
            "/api/docs?q=tags",
        )
    }
    return {**fixed, "server": server, "job": job, "run": run}


@pytest.mark.parametrize("width", [1440, 390])
def test_the_first_day(open_context, empty_site, width):
    page = open_context(base_url=empty_site.address, viewport={"width": width, "height": 844}).new_page()
    page.goto("/")
    page.fill("#username", "admin")
    page.fill("#password", "Duplistatus09")
    page.click("[data-login] .btn-primary")
    expect(page.get_by_role("heading", level=1)).to_have_text("Set a new password")
    page.goto("/")
    expect(page).to_have_url(f"{empty_site.address}/change-password")

    save = page.get_by_role("button", name="Save password")
    expect(save).to_be_disabled()
    page.fill("#new", NEW_PASSWORD)
    page.fill("#confirm", NEW_PASSWORD)
    expect(save).to_be_enabled()
    save.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Waiting for the first report")

    page.evaluate("window.wasNeverReloaded = true")
    empty_site.post(job="Photos")
    expect(page.get_by_role("heading", level=1)).to_contain_text("The only job is OK", timeout=8000)
    empty_site.post(job="Mail", status="Error")
    expect(page).to_have_title("1 failed \u2013 duplistatus", timeout=8000)
    assert "problem" in page.locator("#favicon").get_attribute("href")
    assert page.evaluate("window.wasNeverReloaded")


@pytest.mark.parametrize(("width", "language"), [(390, "en-GB"), (360, "fr")])
def test_no_page_is_wider_than_a_phone(open_context, demo_site, signed_in, page, width, language):
    screen = {"viewport": {"width": width, "height": 780}, "locale": language}
    phone = open_context(storage_state=signed_in, base_url=demo_site.address, **screen).new_page()
    for address in addresses(page).values():
        phone.goto(address, wait_until="load")
        assert phone.locator("html").get_attribute("lang") == language
        expect_to_fit(phone, width)


def test_very_long_names_and_old_dates_fit_in(open_context, shared_site, signed_in_to_shared_site):
    shared_site.post(server="attic", name="L" * 250, job="j" * 250, hours_ago=20 * 365 * 24, errors=("x" * 250,))
    page = open_context(storage_state=signed_in_to_shared_site, base_url=shared_site.address).new_page()
    lists = [
        "/?view=cards",
        "/?view=table",
        "/?view=compact",
        "/settings/?tab=monitoring",
        "/settings/?tab=notifications",
    ]
    for address in [*lists, "/detail/attic", f"/detail/attic?backup={'j' * 250}", "/settings/servers/attic"]:
        page.goto(address, wait_until="load")
        for width in (1440, 390):
            page.set_viewport_size({"width": width, "height": 780})
            expect_to_fit(page, width)


def test_print_shows_the_content_only_and_reduced_motion_is_respected(page):
    page.emulate_media(media="print", color_scheme="dark", reduced_motion="reduce")
    page.goto(addresses(page)["run"])
    expect(page.locator(".topbar")).to_be_hidden()
    expect(page.locator(".log-tools").first).to_be_hidden()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    ground, lines = page.evaluate(
        """() => [document.body, document.querySelector(".log-lines")].map((element) => {
          const { backgroundColor, color, maxHeight, overflowY } = getComputedStyle(element);
          return { backgroundColor, color, maxHeight, overflowY };
        })"""
    )
    assert ground["backgroundColor"] == "rgb(255, 255, 255)"
    assert ground["color"] == "rgb(29, 39, 51)"  # dark text, although the screen is dark
    assert (lines["maxHeight"], lines["overflowY"]) == ("none", "visible")
    page.emulate_media(media="screen")
    moving = page.evaluate(
        """() => [...document.querySelectorAll("*")].flatMap((one) => {
          const { animationName, transitionDuration } = getComputedStyle(one);
          return animationName !== "none" || parseFloat(transitionDuration) > 0 ? [one.className] : [];
        })"""
    )
    assert moving == []


@pytest.mark.parametrize(("theme", "rules"), [("light", RULES), ("dark", CONTRAST)])
def test_axe_finds_no_violation(open_context, demo_site, signed_in, theme, rules):
    page = open_context(storage_state=signed_in, base_url=demo_site.address, color_scheme=theme).new_page()
    found = {}
    for name, address in addresses(page).items():
        page.goto(address, wait_until="load")
        found[name] = barriers(page, rules=rules)
    assert {name: broken for name, broken in found.items() if broken} == {}


def test_the_sign_in_page_has_no_violation(open_context, demo_site):
    page = open_context(base_url=demo_site.address, color_scheme="dark").new_page()
    page.goto("/login")
    assert barriers(page) == []


def test_the_name_is_remembered_and_the_password_shown_on_request(open_context, demo_site, page_errors):
    page = open_context(base_url=demo_site.address).new_page()
    page.goto("/login")
    page.get_by_label("Username", exact=True).fill("admin")
    page.get_by_label("Password", exact=True).fill("wrong")
    page.get_by_role("button", name="Show password").click()
    expect(page.get_by_label("Password", exact=True)).to_have_attribute("type", "text")
    page.get_by_label("Remember my username on this device").check()
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert").filter(has_text="password")).to_be_visible()
    assert "401" in page_errors.console.pop()  # the browser logs that the response was a rejection
    page.goto("/login")
    expect(page.get_by_label("Username", exact=True)).to_have_value("admin")
    expect(page.get_by_label("Password", exact=True)).to_be_focused()
    page.get_by_label("Remember my username on this device").uncheck()
    page.reload()
    expect(page.get_by_label("Username", exact=True)).to_have_value("")


def test_typing_into_the_filter_narrows_the_list_and_keeps_the_focus(page):
    page.goto("/?view=cards")
    page.locator("#filter").press_sequentially("website", delay=30)
    expect(page.locator(".server-card")).to_have_count(1)
    expect(page.locator("#filter")).to_be_focused()
    expect(page.locator("#filter")).to_have_value("website")
    expect(page).to_have_url(re.compile("q=website"))


def test_sorting_by_keyboard_reorders_the_table(page):
    page.goto("/?view=table")
    head = page.get_by_role("link", name="Duration")
    head.focus()
    page.keyboard.press("Enter")
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("Duration")
    page.keyboard.press("Enter")
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Duration")
    expect(head).to_be_focused()
    assert "sort=-duration" in page.url


def test_opened_parts_stay_open_through_a_refresh(page):
    page.goto("/?view=cards")
    page.goto(page.locator(".server-head a").first.get_attribute("href"))
    page.get_by_text("Show as table").click()
    charts = page.locator(".chart-canvas").count()
    assert charts >= 6
    page.evaluate("scrollTo(0, 300)")
    with page.expect_response(lambda answer: answer.request.headers.get("hx-target") == "board"):
        page.evaluate(
            "delete document.querySelector('[data-live]').dataset.etag; htmx.trigger('#board', 'live:refresh')"
        )
    expect(page.locator("#metrics-table")).to_be_visible()
    assert page.evaluate("scrollY") == 300
    expect(page.locator(".chart-canvas canvas")).to_have_count(charts)


@pytest.mark.parametrize("address", ["/", "/settings?tab=display"], ids=["live", "still"])
def test_a_lost_connection_is_shown_and_cleared(page, page_errors, address):
    page.goto(address)
    page.context.set_offline(True)
    expect(page.locator("#connection-lost")).to_be_visible()
    page.context.set_offline(False)
    expect(page.locator("#connection-lost")).to_be_hidden(timeout=9000)
    page_errors.console = [note for note in page_errors.console if "ERR_INTERNET_DISCONNECTED" not in note]


def test_a_hidden_page_requests_nothing_and_catches_up_when_shown(page):
    page.clock.install()
    page.goto("/")
    asked = []
    page.on("request", lambda request: asked.append(request) if "hx-request" in request.headers else None)
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    page.clock.fast_forward(60_000)
    assert asked == []
    with page.expect_request(lambda request: "hx-request" in request.headers):
        page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")


def test_the_theme_changes_at_once_and_is_kept(page):
    page.goto("/")
    page.locator("summary.user-button").click()
    with page.expect_response("**/preferences"):
        page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_css("color-scheme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_css("color-scheme", "dark")
    page.locator("summary.user-button").click()
    with page.expect_response("**/preferences"):
        page.get_by_role("button", name="System").click()


def test_versions_open_in_a_dialog_that_escape_closes(page):
    page.goto("/?view=table")
    page.locator("a.versions").first.click()
    expect(page.get_by_role("dialog", name="Available versions")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#dialog")).to_be_hidden()


def test_a_job_shows_its_card_in_a_dialog_by_keyboard(page):
    page.goto("/?view=cards")
    page.get_by_role("link", name="Details of Documents").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("Overdue after")
    assert barriers(page, "#dialog") == []


def test_the_log_can_be_searched(page):
    page.goto(addresses(page)["run"])
    page.fill("#log-text", "dblock")
    expect(page.locator("[data-log-found]")).to_contain_text("matches in")
    lines = page.locator(".log-lines li:visible")
    expect(lines.first).to_contain_text("dblock")
    assert all("dblock" in text for text in lines.all_inner_texts())


def test_the_first_tab_stop_skips_the_header(page):
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip-link")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_everything_can_be_read_without_script(open_context, demo_site, signed_in):
    options = {"storage_state": signed_in, "base_url": demo_site.address, "java_script_enabled": False}
    page = open_context(**options).new_page()
    page.goto("/?view=cards")
    expect(page.locator(".server-card")).to_have_count(12)
    page.locator(".server-head a").first.click()
    expect(page.locator("[id^=run-row-]").first).to_be_visible()
    page.locator("[id^=run-row-] a").first.click()
    expect(page.get_by_role("heading", name="Log")).to_be_visible()


def test_a_first_visit_is_small(open_context, demo_site, signed_in):
    page = open_context(storage_state=signed_in, base_url=demo_site.address).new_page()
    session = page.context.new_cdp_session(page)
    sizes = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    session.send("Network.enable")
    page.goto("/?view=cards", wait_until="load")
    page.wait_for_timeout(500)
    assert len(sizes) <= 12
    assert sum(sizes) < 250 * 1024


def test_the_palette_opens_a_server_by_keyboard(page):
    page.goto("/connect")
    page.keyboard.press("Control+k")
    page.get_by_role("combobox").fill("anna")
    expect(page.locator("#palette-list li").first).to_contain_text("Anna's laptop")
    assert barriers(page) == []
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Anna's laptop")


def test_two_keys_open_a_page(page):
    page.goto("/connect")
    page.keyboard.press("?")
    expect(page.get_by_role("heading", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("c")
    expect(page).to_have_url(re.compile("/charts$"))


def test_typed_text_is_kept_when_the_language_changes(open_context, demo_site):
    page = open_context(base_url=demo_site.address).new_page()
    page.goto("/login?redirect=/charts")
    page.fill("#username", "anna")
    page.fill("#password", "a secret")
    page.locator("select[name=language]").select_option("de")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page.locator("#username")).to_have_value("anna")
    expect(page.locator("#password")).to_have_value("")
    page.reload()
    expect(page.locator("#username")).to_have_value("")


@pytest.mark.parametrize("width", [1440, 390])
def test_a_language_is_chosen_with_one_touch_and_kept(page, width):
    page.set_viewport_size({"width": width, "height": 844})
    page.goto("/connect")
    page.locator("summary.user-button").click()
    page.get_by_label("Language").select_option("de")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    page.locator("summary.user-button").click()
    page.locator("select[name=language]").select_option("en-GB")
    expect(page.locator("html")).to_have_attribute("lang", "en-GB")
