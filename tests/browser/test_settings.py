"""What only a browser can tell of the settings: results in place, focus, the dialog, phones, both themes, no script."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import expect

from app.services import channels
from app.testing.http_servers import Answer, recording_server

AXE = (Path(__file__).parent / "vendor" / "axe.js").read_text(encoding="utf-8")
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
PAGES = ("?tab=channels", "/channels/new/email", "/channels/{id}", "/channels/{id}/delete")


@pytest.fixture(scope="module")
def ntfy():
    with recording_server() as server:
        yield server


@pytest.fixture
def make(workshop, ntfy):
    """Sets up an ntfy channel of a name; gives its id."""

    def make(name: str) -> int:
        values = {"url": ntfy.url, "topic": "alarms", "token": "tk_secret"}
        with workshop.app.app_context():
            return channels.save_settings("ntfy", name, values, now=datetime.now(UTC)).id

    return make


@pytest.fixture
def open_page(open_context, workshop, signed_in_to_workshop):
    def open_page(**options):
        return open_context(storage_state=signed_in_to_workshop, base_url=workshop.address, **options).new_page()

    return open_page


def test_the_result_of_a_test_appears_in_place(open_page, make, ntfy):
    page = open_page()
    page.goto(f"/settings/channels/{make('Trial')}")
    page.evaluate("window.wasNeverReloaded = true")
    ntfy.answers.append(Answer(403, b'{"code": 40301, "error": "forbidden"}'))
    send = page.get_by_role("button", name="Send a test", exact=True)
    send.click()
    expect(page.locator("#trial")).to_contain_text("Not delivered. ntfy: the server answered 403 forbidden")
    send.click()
    expect(page.locator("#trial")).to_contain_text("The test message was delivered.")
    assert page.evaluate("window.wasNeverReloaded")


def test_changes_that_are_not_saved_are_mentioned_beside_the_test(open_page, make):
    page = open_page()
    page.goto(f"/settings/channels/{make('Unsaved')}")
    expect(page.get_by_text("is not saved yet")).to_be_hidden()
    page.fill("#setting_topic", "others")
    expect(page.get_by_text("is not saved yet")).to_be_visible()
    page.fill("#setting_topic", "alarms")
    expect(page.get_by_text("is not saved yet")).to_be_hidden()


def test_a_switch_in_the_list_works_by_keyboard_and_keeps_its_focus(open_page, make):
    page = open_page()
    make("Switched")
    page.goto("/settings?tab=channels")
    page.evaluate("window.wasNeverReloaded = true")
    switch = page.get_by_role("switch", name="Switched switched on")
    for state in ("false", "true"):
        switch.focus()
        page.keyboard.press("Space")
        expect(switch).to_have_attribute("aria-checked", state)
        expect(switch).to_be_focused()
    assert page.evaluate("window.wasNeverReloaded")


def test_deleting_asks_in_a_dialog_whose_focus_is_on_cancel(open_page, make):
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


def test_the_first_refused_field_has_the_focus_and_its_reason(open_page, trouble):
    page = open_page()
    page.goto("/settings/channels/new/email")
    page.fill("#setting_port", "70000")
    page.fill("#setting_mailto", "nobody")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_label("Server")).to_be_focused()
    expect(page.get_by_label("Server")).to_have_accessible_description("Please fill this in.")
    expect(page.get_by_label("Port")).to_have_value("70000")
    assert len(trouble.console) == 1  # the browser notes that the answer was a refusal
    assert "400" in trouble.console.pop()


def test_everything_works_without_script(open_page, make):
    page = open_page(java_script_enabled=False)
    page.goto(f"/settings/channels/{make('Plain')}")
    page.fill("#setting_topic", "plain-topic")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved. Send a test")).to_be_visible()
    expect(page.locator("#setting_topic")).to_have_value("plain-topic")
    page.get_by_role("button", name="Send a test", exact=True).click()
    expect(page.get_by_text("The test message was delivered.")).to_be_visible()
    page.goto("/settings?tab=channels")
    page.get_by_role("switch", name="Plain switched on").click()
    expect(page.get_by_role("switch", name="Plain switched on")).to_have_attribute("aria-checked", "false")
    page.get_by_role("link", name="Plain", exact=True).click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete Plain").click()
    expect(page.get_by_text("Plain was deleted.")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_a_barrier_or_is_wider_than_a_phone(open_page, make, theme):
    page = open_page(color_scheme=theme, viewport={"width": 360, "height": 780})
    channel_id = make("Narrow")
    found = {}
    for address in PAGES:
        for width in (360, 1440):
            page.set_viewport_size({"width": width, "height": 780})
            page.goto("/settings" + address.format(id=channel_id))
            assert page.evaluate("document.documentElement.scrollWidth") <= width, address
            page.evaluate(AXE)
            for broken in page.evaluate(f"axe.run(document, {json.dumps(RULES)})")["violations"]:
                found[address, broken["id"]] = [node["html"][:200] for node in broken["nodes"]][:3]
    assert found == {}
