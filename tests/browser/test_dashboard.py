"""The dashboard in a browser: its card on hover, its dialogs, and views that change in place."""

import pytest
from playwright.sync_api import expect
from screens import barriers


def test_a_job_shows_its_card_on_hover_and_escape_closes_it(page):
    page.goto("/?view=cards&panel=status&status=&tag=")
    job = page.locator("a[data-card]").first
    job.scroll_into_view_if_needed()
    job.hover()
    card = page.locator("#hover-card")
    expect(card).to_be_visible()
    expect(card).to_contain_text("Overdue after")
    card.hover()
    page.wait_for_timeout(600)
    expect(card).to_be_visible()
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()


def test_the_card_of_a_job_opens_by_keyboard(page):
    page.goto("/?view=compact&panel=none")
    page.locator("a[data-card]").nth(2).focus()
    page.keyboard.press("Tab")
    expect(page.locator("#hover-card")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("a[data-card]").nth(3)).to_be_focused()


def test_views_and_panel_change_without_reloading_the_page(page):
    page.goto("/?view=cards&panel=status")
    page.evaluate("window.wasNeverReloaded = true")
    page.get_by_role("link", name="Compact").click()
    expect(page.locator(".compact li")).to_have_count(30)
    page.locator("#panel-charts").click()
    expect(page.locator(".small-chart")).to_have_count(3)
    page.locator("#status").select_option("overdue")
    expect(page.locator(".compact li")).to_have_count(2)
    assert "status=overdue" in page.url
    page.get_by_role("link", name="Show all").click()
    expect(page.locator(".compact li")).to_have_count(30)
    assert page.evaluate("window.wasNeverReloaded")


@pytest.mark.parametrize("width", [1440, 390])
def test_a_failed_job_is_muted_and_unmuted_from_the_list(open_context, shared_site, signed_in_to_shared_site, width):
    job = f"Mail {width}"
    shared_site.post(job=job, status="Error")
    context = open_context(
        storage_state=signed_in_to_shared_site, base_url=shared_site.address, viewport={"width": width, "height": 844}
    )
    page = context.new_page()
    page.goto("/?view=cards")
    page.get_by_role("link", name=f"Mute {job}").click()
    dialog = page.get_by_role("dialog", name=f"Mute {job}")
    expect(dialog.get_by_label("1 day")).to_be_focused()
    dialog.get_by_text("1 week").click()
    dialog.get_by_label("Reason").fill("New disk on Friday")
    assert barriers(page, "#dialog") == []
    dialog.get_by_role("button", name="Mute").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("1 muted")
    page.get_by_text("1 muted job needs attention").click()
    page.get_by_role("link", name=f"Mute settings of {job}").click()
    expect(page.get_by_role("dialog")).to_contain_text("New disk on Friday")
    page.get_by_role("button", name="Unmute").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("1 failed")
    shared_site.post(job=job, hours_ago=0.5)
