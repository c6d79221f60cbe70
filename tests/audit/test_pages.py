"""The tab of the audit log: filters in the URL, paging, details, exports."""

import re
from datetime import timedelta

import pytest

from app.accounts.models import ServerAccess, User
from app.audit.log import Actor, record_entry
from app.audit.pages import Detail, lay_out_details
from app.core.db.orm import writing

TAB = "/settings/?tab=audit"


@pytest.fixture
def note(db, clock):
    """Add an entry: `note("server_deleted", category="server", hours_ago=3)`."""

    def note(action="overdue_check_manual", *, category="system", hours_ago=0.0, username="anna", **values):
        at = clock.now - timedelta(hours=hours_ago)
        record_entry(action, category, now=at, actor=Actor(username=username, ip_address="192.0.2.9"), **values)

    return note


def actions(page: str) -> list[str]:
    return re.findall(r'<td data-label="Action"><code>(\w+)</code>', page)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("username=anna", {"server_deleted", "database_restore"}),
        ("action=server_deleted", {"server_deleted"}),
        ("category=server", {"server_deleted"}),
        ("status=error", {"database_restore"}),
        ("startDate=2031-05-03&endDate=2031-05-03", {"server_deleted"}),
        ("search=ATTIC", {"server_deleted"}),
        ("search=192.0.2.9", {"server_deleted", "database_restore"}),
        ("search=broken+file", {"database_restore"}),
        ("search=100%25", set()),
        ("startDate=yesterday", set()),
    ],
)
def test_the_url_selects_what_is_shown(query, expected, note, admin):
    note("server_deleted", category="server", hours_ago=24, details={"serverName": "attic"})
    note("database_restore", status="error", error_message="a broken file")
    page = admin.get(f"{TAB}&{query}").text
    assert set(actions(page)) == expected
    if not expected:
        assert "No matching entries." in page


def test_filters_are_shown_and_applied_to_exports(note, admin):
    note("server_deleted", category="server")
    page = admin.get(f"{TAB}&category=server&search=anna").text
    assert '<option value="server" selected>' in page
    assert re.search(r'name="search"\s+value="anna"', page)
    [csv] = re.findall(r'href="([^"]*format=csv[^"]*)"', page)
    exported = admin.get(csv.replace("&amp;", "&")).text.splitlines()
    assert len(exported) == 2
    assert "server_deleted" in exported[1]


def test_page_links_keep_the_filter(note, admin):
    for number in range(60):
        note("overdue_check_manual", hours_ago=number)
    first = admin.get(f"{TAB}&username=anna").text
    assert len(actions(first)) == 50
    assert "1 to 50 of 60" in first
    [older] = re.findall(r'href="([^"]*page=2[^"]*)"', first)
    second = admin.get(older.replace("&amp;", "&")).text
    assert len(actions(second)) == 10
    assert "51 to 60 of 60" in second


@pytest.mark.parametrize("page", ["0", "-3", "99999999999", "two", "²"])
def test_a_page_out_of_range_is_the_nearest_one(page, note, admin):
    note()
    assert actions(admin.get(f"{TAB}&username=anna&page={page}").text) == ["overdue_check_manual"]


def test_details_are_shown_as_lines():
    details = {
        "targetUsername": "anna",
        "is_admin": {"from": False, "to": True},
        "changes": {"url": {"old": "a", "new": ""}},
        "days": [1, 2],
        "results": [{"server": "nas"}],
        "nothing": None,
    }
    assert lay_out_details(details) == [
        Detail("Target username", "anna"),
        Detail("Is admin", "yes", "no"),
        Detail("Changes / Url", "\N{EN DASH}", "a"),
        Detail("Days", "1, 2"),
        Detail("Results 1 / Server", "nas"),
        Detail("Nothing", "\N{EN DASH}"),
    ]
    assert lay_out_details(None) == []


def test_an_entry_is_shown_in_full_in_a_dialog_or_on_a_page(note, admin):
    note("user_updated", category="user", details={"username": {"from": "ann", "to": "anna"}}, target_type="user")
    [address] = set(re.findall(r'href="(/settings/audit/\d+)"', admin.get(f"{TAB}&action=user_updated").text))
    page = admin.get(address).text
    assert "<del>ann</del>" in page
    assert "192.0.2.9" in page
    part = admin.get(address, headers={"HX-Request": "true"}).text
    assert "<html" not in part
    assert "<ins>anna</ins>" in part


def test_a_limited_account_reads_its_own_actions_only(note, viewer, app):
    note("server_deleted", category="server")
    with app.app_context(), writing() as session:
        user = session.query(User).filter_by(username="viewer").one()
        user.sees_all_servers = False
        session.query(ServerAccess).delete()
    page = viewer.get(TAB).text
    assert set(actions(page)) == {"login"}
    assert "server_deleted" not in page
    assert viewer.get("/settings/audit/1").status_code == 404


def test_an_unknown_entry_is_not_found(admin):
    assert admin.get("/settings/audit/99999").status_code == 404
