"""The settings in a browser: results in place, focus, the dialog, phones, both themes, no script."""

import logging
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import expect
from screens import CONTRAST, RULES, barriers, expect_to_fit

from app.notifications import channels
from app.plugin.testing.http_servers import Answer, recording_server

PAGES = (
    "?tab=notifications",
    "?tab=monitoring",
    "?tab=templates",
    "?tab=summary",
    "?tab=channels",
    "?tab=ntfy",
    "?tab=email",
    "?tab=publishing",
    "?tab=display",
    "?tab=uploads",
    "?tab=about",
    "?tab=server",
    "?tab=tasks",
    "?tab=database-maintenance",
    "?tab=users",
    "?tab=keys",
    "?tab=access",
    "?tab=audit",
    "?tab=audit-retention",
    "?tab=application-logs",
    "/users/new",
    "/audit/1",
    "/channels/new/email",
    "/channels/{id}",
    "/channels/{id}/delete",
)


@pytest.fixture(scope="module")
def ntfy():
    with recording_server() as server:
        yield server


@pytest.fixture
def make(shared_site, ntfy):
    """Create an ntfy channel with a name; return its id."""

    def make(name: str) -> int:
        values = {"url": ntfy.url, "topic": "alarms", "token": "tk_secret"}
        with shared_site.app.app_context():
            return channels.save_settings("ntfy", name, values, now=datetime.now(UTC)).id

    return make


@pytest.fixture
def open_page(open_context, shared_site, signed_in_to_shared_site):
    def open_page(**options):
        return open_context(storage_state=signed_in_to_shared_site, base_url=shared_site.address, **options).new_page()

    return open_page


def test_the_result_of_a_test_appears_in_place(open_page, make, ntfy):
    page = open_page()
    page.goto(f"/settings/channels/{make('Trial')}")
    page.evaluate("window.wasNeverReloaded = true")
    ntfy.answers.append(Answer(403, b'{"code": 40301, "error": "forbidden"}'))
    send = page.get_by_role("button", name="Send test", exact=True)
    send.click()
    expect(page.locator("#test-result")).to_contain_text("Not delivered. ntfy: the server answered 403 forbidden")
    send.click()
    expect(page.locator("#test-result")).to_contain_text("The test notification was delivered.")
    assert page.evaluate("window.wasNeverReloaded")


def test_unsaved_changes_are_mentioned_next_to_the_test(open_page, make):
    page = open_page()
    page.goto(f"/settings/channels/{make('Unsaved')}")
    expect(page.get_by_text("The changes above are not saved yet.")).to_be_hidden()
    page.fill("#setting_topic", "others")
    expect(page.get_by_text("The changes above are not saved yet.")).to_be_visible()
    page.fill("#setting_topic", "alarms")
    expect(page.get_by_text("The changes above are not saved yet.")).to_be_hidden()


def test_a_switch_in_the_list_works_by_keyboard_and_keeps_its_focus(open_page, make):
    page = open_page()
    make("Switched")
    page.goto("/settings?tab=channels")
    page.evaluate("window.wasNeverReloaded = true")
    switch = page.get_by_role("switch", name="Switched enabled")
    for state in ("false", "true"):
        switch.focus()
        page.keyboard.press("Space")
        expect(switch).to_have_attribute("aria-checked", state)
        expect(switch).to_be_focused()
    assert page.evaluate("window.wasNeverReloaded")


def test_deleting_needs_confirmation_in_a_dialog_with_focus_on_cancel(open_page, make):
    page = open_page()
    page.goto(f"/settings/channels/{make('Doomed')}")
    page.get_by_role("link", name="Delete").click()
    dialog = page.get_by_role("dialog", name="Delete Doomed?")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    page.get_by_role("link", name="Delete").click()
    dialog.get_by_role("button", name="Delete Doomed").click()
    expect(page.get_by_role("status").filter(has_text="Doomed was deleted.")).to_be_visible()
    expect(page.get_by_role("link", name="Doomed")).to_have_count(0)


def test_the_first_invalid_field_has_the_focus_and_its_reason(open_page, page_errors):
    page = open_page()
    page.goto("/settings/channels/new/email")
    page.fill("#setting_port", "70000")
    page.fill("#setting_mailto", "nobody")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_label("Server required")).to_be_focused()
    expect(page.get_by_label("Server required")).to_have_accessible_description("This field is required.")
    expect(page.get_by_role("spinbutton", name="Port required")).to_have_value("70000")
    assert len(page_errors.console) == 1  # the browser logs that the response was a rejection
    assert "400" in page_errors.console.pop()


def test_each_kind_of_connection_suggests_its_port_and_keeps_a_custom_one(open_page):
    page = open_page()
    page.goto("/settings/channels/new/email")
    port, connection = page.get_by_role("spinbutton", name="Port required"), page.get_by_label("Connection")
    expect(port).to_have_value("587")
    connection.select_option("ssl")
    expect(port).to_have_value("465")
    port.fill("2465")
    connection.select_option("plain")
    expect(port).to_have_value("2465")


def test_everything_works_without_script(open_page, make):
    page = open_page(java_script_enabled=False)
    page.goto(f"/settings/channels/{make('Plain')}")
    page.fill("#setting_topic", "plain-topic")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved. Send a test")).to_be_visible()
    expect(page.locator("#setting_topic")).to_have_value("plain-topic")
    page.get_by_role("button", name="Send test", exact=True).click()
    expect(page.get_by_text("The test notification was delivered.")).to_be_visible()
    page.goto("/settings?tab=channels")
    page.get_by_role("switch", name="Plain enabled").click()
    expect(page.get_by_role("switch", name="Plain enabled")).to_have_attribute("aria-checked", "false")
    page.get_by_role("link", name="Plain", exact=True).click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete Plain").click()
    expect(page.get_by_text("Plain was deleted.")).to_be_visible()


def test_a_display_choice_is_saved_at_once_and_keeps_its_focus(open_page):
    page = open_page()
    page.goto("/settings?tab=display")
    page.evaluate("window.wasNeverReloaded = true")
    size = page.get_by_label("Rows per page")
    size.focus()
    with page.expect_response("**/settings/display"):
        size.select_option("40")
    expect(page.get_by_role("status").filter(has_text="Saved")).to_be_visible()
    expect(size).to_be_focused()
    assert page.evaluate("window.wasNeverReloaded")
    page.get_by_label("Dark").check()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.get_by_role("radio", name="System").check()
    expect(page.locator("html")).not_to_have_attribute("data-bs-theme", "dark")
    expect(size).to_have_value("40")


def test_times_are_in_the_time_zone_of_the_browser_or_the_chosen_one(open_page):
    page = open_page(timezone_id="Asia/Tokyo")

    def expect_times_of(zone):
        page.goto("/settings?tab=audit")
        shown = page.locator("time[data-show=exact]").first
        at = datetime.fromisoformat(shown.get_attribute("datetime")).astimezone(ZoneInfo(zone))
        expect(shown).to_have_text(f"{at:%d/%m/%Y, %H:%M}")

    expect_times_of("Asia/Tokyo")
    for chosen, zone in (("America/New_York", "America/New_York"), ("", "Asia/Tokyo")):
        page.goto("/settings?tab=display")
        with page.expect_event("load"):  # the whole page is loaded again
            page.get_by_label("Time zone").select_option(chosen)
        expect_times_of(zone)


def test_a_form_that_was_open_for_long_gets_a_new_token_before_it_is_sent(open_page):
    page = open_page()
    page.clock.install()
    page.goto("/settings?tab=audit-retention")
    page.evaluate("document.querySelector('#days').form.elements.csrf_token.value = 'an-old-one'")
    page.clock.fast_forward(31 * 60 * 1000)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="Saved")).to_be_visible()


def test_tabs_are_a_menu_on_a_phone_and_a_list_of_icons_on_request(open_page):
    page = open_page(viewport={"width": 390, "height": 780})
    page.goto("/settings?tab=audit")
    expect(page.get_by_role("navigation", name="Settings")).to_be_hidden()
    page.get_by_label("Settings section").select_option("users")
    expect(page.get_by_role("heading", level=1)).to_have_text("Users")
    page.set_viewport_size({"width": 1440, "height": 900})
    page.get_by_role("button", name="Show icons only").click()
    expect(page.get_by_role("link", name="Audit log", exact=True)).to_have_attribute("title", "Audit log")
    page.get_by_role("link", name="Audit log", exact=True).click()
    page.get_by_role("button", name="Show labels").click()
    expect(page.get_by_role("button", name="Show icons only")).to_be_visible()
    page.set_viewport_size({"width": 1440, "height": 600})
    page.goto("/settings?tab=application-logs")
    expect(page.get_by_role("link", name="Application logs", exact=True).first).to_be_in_viewport()


@pytest.mark.parametrize("width", [1440, 390])
def test_an_account_is_created_changed_and_deleted(open_page, width):
    page = open_page(permissions=["clipboard-read", "clipboard-write"], viewport={"width": width, "height": 844})
    page.goto("/settings?tab=users")
    page.get_by_role("link", name="New user").click()
    page.get_by_label("Username").fill("anna")
    expect(page.get_by_label("Or enter a password")).to_be_hidden()
    page.get_by_role("button", name="Create user").click()
    password = page.locator("#password-once").inner_text()
    page.get_by_role("button", name="Copy").click()
    page.wait_for_function("text => navigator.clipboard.readText().then((kept) => kept === text)", arg=password)
    page.get_by_role("link", name="Done").click()
    page.get_by_role("link", name="anna", exact=True).click()
    page.get_by_text("Administrator", exact=True).click()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("row", name="anna")).to_contain_text("Administrator")
    page.get_by_role("link", name="Delete anna").click()
    page.get_by_role("dialog", name="Delete anna?").get_by_role("button", name="Delete anna").click()
    expect(page.get_by_text("anna was deleted.")).to_be_visible()


def test_the_program_log_follows_its_file(open_page, shared_site):
    page = open_page()
    page.goto("/settings?tab=application-logs")
    expect(page.get_by_label("Follow new lines")).to_be_checked()
    logging.getLogger("app.test").warning("a line of shared_site")
    expect(page.locator("#log-text")).to_contain_text("a line of shared_site")


@pytest.mark.parametrize(("theme", "width", "rules"), [("light", 360, RULES), ("dark", 1440, CONTRAST)])
def test_no_page_has_a_violation_or_is_wider_than_its_screen(open_page, shared_site, make, theme, width, rules):
    page = open_page(color_scheme=theme, viewport={"width": width, "height": 780})
    channel_id = make(f"Narrow {theme}")
    shared_site.post()
    found = {}
    for address in PAGES:
        page.goto("/settings" + address.format(id=channel_id))
        expect_to_fit(page, width)
        found[address] = barriers(page, rules=rules)
    assert {address: broken for address, broken in found.items() if broken} == {}
