"""What only a browser can tell of the dashboard: its card on hover, its dialogs, and that views change in place."""

import pytest
from playwright.sync_api import expect
from screens import barriers


def test_a_job_tells_about_itself_where_one_points_and_escape_closes_it(page):
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


def test_views_and_panel_change_without_loading_the_page_again(page):
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
def test_a_failed_job_is_muted_from_the_list_and_told_of_again(open_context, workshop, signed_in_to_workshop, width):
    job = f"Mail {width}"
    workshop.post(job=job, status="Error")
    context = open_context(
        storage_state=signed_in_to_workshop, base_url=workshop.address, viewport={"width": width, "height": 844}
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
    workshop.post(job=job, hours_ago=0.5)
