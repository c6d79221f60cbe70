"""Main tasks of users, from the first page to the last, on a desktop and on a phone."""

import pytest
from playwright.sync_api import Page, expect

from app.plugin.testing.http_servers import recording_server

WIDTHS = {"desk": 1440, "phone": 390}
PASSWORD = "Correct7Horse"


@pytest.fixture(params=WIDTHS.values(), ids=WIDTHS)
def width(request) -> int:
    return request.param


@pytest.fixture
def shared_page(open_context, shared_site, signed_in_to_shared_site, width) -> Page:
    """The dashboard of `shared_site`, signed in."""
    viewport = {"width": width, "height": 844}
    page = open_context(
        storage_state=signed_in_to_shared_site, base_url=shared_site.address, viewport=viewport
    ).new_page()
    page.goto("/?view=cards")
    return page


def log_in(page: Page) -> None:
    page.get_by_label("Username", exact=True).fill("admin")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def open_tab(page: Page, name: str, width: int) -> None:
    """Open a tab of the settings: by the gear, and then by the list or, on a phone, the menu."""
    page.locator(".topbar-tools").get_by_role("link", name="Settings").click()
    if width < 768:
        choice = page.get_by_label("Settings section")
        choice.wait_for()
        page.wait_for_load_state()  # before that no script handles it
        choice.select_option(label=name)
    else:
        page.get_by_role("navigation", name="Settings").get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def test_an_issue_is_found_its_log_read_and_the_schedule_changed(shared_site, shared_page, width):
    job = f"Mail {width}"
    shared_site.post(job=job, status="Error", errors=("2031-05-04 10:00:00 +00 - [Error-X]: The disk is full",))
    page = shared_page
    page.reload()
    expect(page).to_have_title("1 failed \u2013 duplistatus")
    page.get_by_role("region", name="Needs attention").get_by_role("link", name=f"nas / {job}").click()
    expect(page.get_by_role("heading", name="Errors")).to_be_visible()
    expect(page.locator(".log-errors li")).to_contain_text("The disk is full")

    page.get_by_role("navigation", name="Breadcrumb").get_by_role("link", name=job).click()
    page.locator("summary", has_text="Change").click()
    page.get_by_role("link", name="Schedule", exact=True).click()
    page.get_by_label(f"Interval of {job}", exact=True).fill("3")
    page.get_by_label(f"Unit of the interval of {job}").select_option("Weeks")
    page.get_by_role("group", name=f"Days of {job}").get_by_title("Sunday").click()
    expect(page.get_by_text("Unsaved changes")).to_be_visible()
    page.locator("#rows").get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").filter(has_text="Saved")).to_be_visible()
    expect(page.get_by_label(f"Interval of {job}", exact=True)).to_have_value("3")
    expect(page.get_by_label("Sunday").last).not_to_be_checked()
    shared_site.post(job=job, hours_ago=0.5)


def test_a_channel_is_added_and_a_test_sent(shared_page, width):
    name = f"Alarms {width}"
    with recording_server() as ntfy:
        page = shared_page
        open_tab(page, "Channels", width)
        page.get_by_role("region", name="ntfy").get_by_role("link").first.click()
        page.get_by_label("Name required").fill(name)
        page.get_by_label("Server required").fill(ntfy.url)
        page.get_by_label("Topic required").fill("alarms")
        page.get_by_role("button", name="Save and send test").click()
        expect(page.get_by_text("The test notification was delivered.")).to_be_visible()
        assert len(ntfy.received) == 1
    page.get_by_role("link", name="Channels", exact=True).last.click()
    expect(page.get_by_role("switch", name=f"{name} enabled")).to_have_attribute("aria-checked", "true")


def test_duplicate_servers_are_merged_and_restored_from_a_backup(open_context, own_site, width):
    for server in ("first", "second"):
        own_site.post(server=server, name="nas", job=f"Job of the {server}")
    page = open_context(base_url=own_site.address, viewport={"width": width, "height": 844}).new_page()
    page.goto("/")
    log_in(page)
    open_tab(page, "Database maintenance", width)
    page.get_by_role("button", name="Back up now").click()
    expect(page.get_by_role("link", name="Restore duplistatus")).to_be_visible()

    open_tab(page, "Servers", width)
    page.get_by_role("link", name="Merge").click()
    page.get_by_role("dialog").get_by_role("button", name="Merge").click()
    expect(page.get_by_role("link", name="nas", exact=True)).to_have_count(1)
    expect(page.get_by_role("link", name="Merge")).to_have_count(0)
    page.goto("/?view=cards")
    expect(page.locator(".server-card")).to_have_count(1)
    expect(page.locator(".server-card")).to_contain_text("Job of the first")

    open_tab(page, "Database maintenance", width)
    page.get_by_role("link", name="Restore duplistatus").click()
    page.get_by_role("dialog").locator(".btn-danger").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Restored")
    page.get_by_role("link", name="Sign in").click()
    log_in(page)
    expect(page.locator(".server-card")).to_have_count(2)
