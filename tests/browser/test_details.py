"""The pages of a server, a run and the charts, and the status page in a browser."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page, expect
from screens import barriers, expect_to_fit

from app import runtime
from app.audit.log import SYSTEM
from app.backups import overview
from app.sharing import status_page

LINES = 10_000


@pytest.fixture(scope="module")
def long_run(shared_site) -> str:
    """The URL of a run with ten thousand lines, three of them about lions."""
    at = datetime.now(UTC).isoformat()
    messages = [f"2031-05-04 10:00:00 +00 - [Information-X]: line {number}" for number in range(LINES - 2)]
    data = {
        "MainOperation": "Backup",
        "ParsedResult": "Warning",
        "BeginTime": at,
        "EndTime": at,
        "Duration": "00:07:00",
    }
    data |= {"Messages": [*messages, "A lion", "Lion and lion"], "Warnings": ["Careful, a lion"], "Errors": []}
    extra = {"OperationName": "Backup", "machine-id": "zoo", "machine-name": "zoo", "backup-name": "Cages"}
    report = {"Data": data, "Extra": extra | {"backup-id": "DB-1"}}
    answer = requests.post(f"{shared_site.address}/api/upload", json=report, timeout=30)
    assert answer.status_code == 200
    with shared_site.app.app_context():
        server = overview.find_server("zoo", runtime.now(), None)
        return f"/detail/zoo/backup/{server.jobs[0].last_run_id}"


@pytest.fixture
def shared_page(open_context, shared_site, signed_in_to_shared_site) -> Page:
    """A page of `shared_site`, signed in."""
    return open_context(storage_state=signed_in_to_shared_site, base_url=shared_site.address).new_page()


def test_ten_thousand_lines_are_searched_highlighted_and_navigated(shared_page, long_run):
    shared_page.goto(long_run)
    expect(shared_page.locator(".log-lines li")).to_have_count(1001)
    shared_page.fill("#log-text", "lion")
    expect(shared_page.locator("[data-log-found]")).to_have_text("4 matches in 3 lines", timeout=20_000)
    expect(shared_page.locator(".log-lines li:visible")).to_have_count(3)
    expect(shared_page.locator(".log-lines mark")).to_have_count(4)
    shared_page.press("#log-text", "Enter")
    expect(shared_page.locator("mark.is-current")).to_have_text("lion")
    shared_page.press("#log-text", "Shift+Enter")
    expect(shared_page.locator("mark.is-current")).to_be_in_viewport()
    expect(shared_page).to_have_url(re.compile(r"\?q=lion"))
    shared_page.get_by_label("Line types").get_by_text("Warnings").click()
    expect(shared_page.locator("[data-log-found]")).to_have_text("1 matches in 1 lines")
    shared_page.get_by_label("Line types").get_by_text("All").click()
    shared_page.fill("#log-text", "")
    expect(shared_page.locator(".log-lines li:not([hidden])")).to_have_count(LINES + 1)
    expect(shared_page.locator(".log-lines mark")).to_have_count(0)


def test_whole_log_is_copied_although_a_part_is_shown(shared_page, long_run):
    shared_page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    shared_page.goto(long_run)
    shared_page.get_by_role("button", name="Copy log").click()
    expect(shared_page.locator("#toasts")).to_contain_text("Copied")
    assert shared_page.evaluate("navigator.clipboard.readText()").count("\n") > LINES


def test_dragging_across_a_chart_shows_those_days_with_a_link_back(page):
    page.set_viewport_size({"width": 1440, "height": 1000})
    page.goto("/charts?range=1M")
    over = page.locator("#chart-storageSize .u-over")
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 40, steps=6)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"from=\d{4}-\d\d-\d\d&to="))
    expect(page.locator("#metrics-table tbody tr")).to_have_count(8)
    page.locator("[data-zoom-out]").click()
    expect(page.locator("#metrics-table tbody tr")).to_have_count(30)


def test_chart_shows_the_value_under_the_pointer(page):
    page.set_viewport_size({"width": 1440, "height": 1000})
    page.goto("/charts?by=server")
    over = page.locator("#chart-storageSize .u-over")
    over.hover()
    tip = page.locator("#chart-storageSize .chart-tip")
    expect(tip.locator("li")).to_have_count(9)  # eight lines, and their sum
    expect(tip).to_contain_text("Total")


def test_charts_format_figures_and_days_as_chosen(shared_page, long_run):
    def choose(locale):
        shared_page.goto("/settings?tab=display")
        shared_page.locator("#format_locale").fill(locale)
        with shared_page.expect_event("load"):  # the whole page is loaded again
            shared_page.locator("#format_locale").blur()

    choose("de-DE")
    shared_page.goto("/charts?range=1W")
    over = shared_page.locator("#chart-duration .u-over")
    over.hover(position={"x": over.bounding_box()["width"] - 4, "y": 20})
    expect(shared_page.locator("#chart-duration .chart-tip")).to_contain_text(f"{datetime.now(UTC):%d.%m.%Y}")
    choose("")


def test_charts_are_saved_as_image_and_as_table(page):
    page.goto("/charts")
    with page.expect_download() as picture:
        page.get_by_role("button", name="Save Duration as image").click()
    assert picture.value.suggested_filename == "duplistatus-chart-duration.png"
    assert Path(picture.value.path()).read_bytes().startswith(b"\x89PNG")
    with page.expect_download() as table:
        page.get_by_role("link", name="CSV").click()
    assert table.value.suggested_filename.endswith(".csv")


def test_bars_are_chosen_for_all_charts_together(shared_page, long_run):
    shared_page.goto("/detail/zoo")
    shared_page.get_by_role("button", name="Bars").click()
    expect(shared_page.get_by_role("button", name="Bars")).to_have_attribute("aria-pressed", "true")
    shared_page.goto("/charts")
    expect(shared_page.locator("[data-charts]")).to_have_attribute("data-style", "bars")
    expect(shared_page.locator(".u-wrap").first).to_be_visible()


def test_names_are_changed_in_a_dialog(shared_page, long_run):
    shared_page.goto("/detail/zoo")
    shared_page.locator(".page-tools summary").click()
    shared_page.get_by_role("link", name="Alias and note").click()
    shared_page.get_by_label("Alias", exact=True).fill("The zoo")
    shared_page.locator("#dialog").get_by_role("button", name="Save").click()
    expect(shared_page.get_by_role("heading", level=1)).to_have_text("The zoo")


def test_log_is_searched_without_script(open_context, shared_site, signed_in_to_shared_site, long_run):
    options = {"storage_state": signed_in_to_shared_site, "base_url": shared_site.address, "java_script_enabled": False}
    page = open_context(**options).new_page()
    page.goto(long_run)
    page.fill("#log-text", "lion")
    page.press("#log-text", "Enter")
    expect(page.locator("mark")).to_have_count(4)
    expect(page.locator("[data-log-found]")).to_contain_text("3 lines with")


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (360, "dark")])
def test_status_page_is_public(open_context, demo_site, width, theme):
    with demo_site.app.app_context():
        chosen = {"is_enabled": True, "title": "Our backups", "shows_names": True, "shows_all": True}
        page = status_page.save(**chosen, server_ids=(), job_ids=(), actor=SYSTEM, now=datetime.now(UTC))
        address = f"{demo_site.address}/status/{page.slug}"
    page = open_context(viewport={"width": width, "height": 800}, color_scheme=theme).new_page()
    page.goto(address)
    expect(page.get_by_role("heading", level=2)).to_have_count(12)
    expect(page.locator("a[href*='/detail'], a[href*='/settings']")).to_have_count(0)
    expect_to_fit(page, width)
    assert barriers(page) == []


@pytest.mark.parametrize("query", ["by=job", "by=server&range=1Y", "from=2031-01-01&to=2031-02-01"])
def test_charts_of_any_kind_have_no_violation_and_fit(page, query):
    page.set_viewport_size({"width": 360, "height": 780})
    page.goto(f"/charts?{query}")
    page.locator("details.more summary").first.click()
    expect_to_fit(page, 360)
    page.evaluate("scrollTo(0, 0)")  # the click scrolls, and axe reports a button that the sticky header covers
    assert barriers(page, "#content") == []
