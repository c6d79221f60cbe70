"""Rows of jobs that are saved automatically, selecting several of them, and templates with a live preview."""

import re

import pytest
from playwright.sync_api import expect

SAVED = "/settings/notifications"


@pytest.fixture
def page(open_context, shared_site, signed_in_to_shared_site):
    for server, job in (("attic", "Photos"), ("attic", "Music"), ("cellar", "Mail")):
        shared_site.post(server=server, job=job, hours_ago=2)
    page = open_context(storage_state=signed_in_to_shared_site, base_url=shared_site.address).new_page()
    page.goto("/settings?tab=notifications")
    return page


def test_a_row_is_saved_automatically_and_later_changes_are_saved_after_it(page):
    sent = []

    def hold_the_first(route):
        sent.append(route)
        if len(sent) > 1:
            route.continue_()

    page.route(f"**{SAVED}", hold_the_first)
    choice = page.get_by_label("Notify on (Mail")
    expect(choice).to_have_value("warnings")
    with page.expect_request(f"**{SAVED}"):
        choice.select_option("errors")
    expect(page.locator("#save-state")).to_have_text("Saving …")
    choice.select_option("warnings")
    page.wait_for_timeout(700)  # longer than the delay before a row is saved
    assert len(sent) == 1
    with page.expect_response(lambda answer: re.search(r"event\.\d+=warnings", answer.request.post_data or "")):
        sent[0].continue_()
    expect(page.locator("#save-state")).to_have_text("Saved")
    page.reload()
    expect(choice).to_have_value("warnings")


def test_a_failed_save_is_reported_until_it_is_closed(page, page_errors):
    page.context.set_offline(True)
    page.get_by_label("Notify on (Mail").select_option("off")
    expect(page.locator("#save-state")).to_have_text("Not saved")
    note = page.get_by_role("alert").filter(has_text="Not saved")
    page.wait_for_timeout(3200)  # a message of success would have disappeared by now
    note.get_by_role("button").click()
    expect(note).to_have_count(0)
    page.context.set_offline(False)
    with page.expect_response(f"**{SAVED}"):
        page.get_by_label("Notify on (Mail").select_option("warnings")
    page_errors.console = [message for message in page_errors.console if "ERR_INTERNET_DISCONNECTED" not in message]


def test_a_row_with_an_expired_session_is_saved_after_signing_in_again(page):
    cookies = page.context.cookies()
    page.context.clear_cookies()
    page.get_by_label("Notify on (Mail").select_option("errors")
    note = page.get_by_role("alert").filter(has_text="Your changes are kept here until you sign in.")
    expect(note.get_by_role("link", name="Sign in")).to_have_attribute(
        "href", re.compile(r"/login\?redirect=.*notifications")
    )
    page.context.add_cookies(cookies)
    with page.expect_response(f"**{SAVED}"):
        page.evaluate("dispatchEvent(new Event('focus'))")
    expect(note).to_have_count(0)
    expect(page.locator("#save-state")).to_have_text("Saved")


def test_several_of_the_shown_rows_are_selected(page):
    bulk = page.get_by_role("form", name="Edit selected jobs")
    expect(bulk).to_be_hidden()
    page.get_by_placeholder("Server or job").fill("mus")
    expect(page.locator("tr[data-row]:visible")).to_have_count(1)
    page.get_by_label("Select all jobs of attic").check()
    expect(bulk).to_contain_text("1 selected")
    page.get_by_placeholder("Server or job").press("Escape")
    group = page.get_by_label("Select all jobs of attic")
    expect(group).to_be_checked(indeterminate=True)
    page.get_by_label("Select all jobs shown").check()
    expect(bulk).to_contain_text("3 selected")
    bulk.locator("[name=main_event]").select_option("all")
    bulk.get_by_role("button", name="Change").click()
    for job in ("Photos", "Music", "Mail"):
        expect(page.get_by_label(f"Notify on ({job})", exact=True)).to_have_value("all")
    page.get_by_placeholder("Server or job").fill("nowhere")
    expect(page.get_by_text("No matching servers or jobs")).to_be_visible()


def test_a_preview_requested_during_another_one_follows_it(page):
    """No request is aborted, which the console would log as an error."""
    held = []
    page.goto("/settings?tab=templates&kind=success")
    page.route("**/preview*", lambda route: held.append(route), times=1)
    example = page.get_by_label("Preview with")
    with page.expect_request("**/preview*"):
        example.select_option(label="cellar / Mail (Success)")
    example.select_option(label="attic / Photos (Success)")
    held[0].continue_()
    expect(page.locator("#preview")).to_contain_text("Photos")


def test_a_placeholder_is_inserted_at_the_cursor_and_the_preview_updated(page):
    page.goto("/settings?tab=templates&kind=success")
    page.get_by_label("Title").fill("Run of  is over")
    for _step in range(len(" is over")):
        page.keyboard.press("ArrowLeft")
    page.get_by_role("button", name="{backup_name}").click()
    expect(page.get_by_label("Title")).to_have_value("Run of {backup_name} is over")
    page.get_by_label("Preview with").select_option(label="cellar / Mail (Success)")
    expect(page.locator("#preview")).to_contain_text("Run of Mail is over")
