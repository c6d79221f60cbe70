"""The status page: off by default, behind a secret link, and without private details."""

import re

import pytest

from app import runtime
from app.audit.log import SYSTEM, AuditEntry
from app.backups import overview
from app.sharing import status_page

REMOTE_CLIENT = {"REMOTE_ADDR": "203.0.113.9"}


@pytest.fixture
def set_up(app):
    """Set up and enable the page; return its URL."""

    def make(**changes):
        usual = {"is_enabled": True, "title": "", "shows_names": True, "shows_all": True}
        usual |= {"server_ids": (), "job_ids": ()}
        with app.app_context():
            page = status_page.save(**(usual | changes), actor=SYSTEM, now=runtime.now())
        return f"/status/{page.slug}"

    return make


def summary_text(answer) -> str:
    return re.search(r'<h1 id="overall">(.*?)</h1>', answer.text)[1]


@pytest.mark.parametrize("slug", ["guess", "None", "ä"])
def test_there_is_no_page_by_default(client, post, slug):
    post()
    assert client.get(f"/status/{slug}").status_code == 404


def test_page_opens_by_its_link_without_signing_in(client, post, set_up):
    post()
    address = set_up(title="Our backups")
    answer = client.get(address)
    assert answer.status_code == 200
    assert "Our backups" in answer.text
    assert "Photos" in answer.text
    assert len(address) > 35
    assert client.get(address[:-1]).status_code == 404


def test_disabled_page_is_not_found_and_returns_under_its_link(client, set_up):
    address = set_up()
    set_up(is_enabled=False)
    assert client.get(address).status_code == 404
    assert set_up() == address
    assert client.get(address).status_code == 200


def test_page_contains_only_the_state_of_the_backups(client, post, admin, set_up):
    post()
    admin.send("PATCH", "/api/servers/id-of-nas", json={"note": "in the cellar", "server_url": "http://10.0.0.9:8200"})
    text = client.get(set_up()).text
    for secret in ("id-of-nas", "cellar", "10.0.0.9", "/detail/", "/settings", "3.00 GB"):
        assert secret not in text


def test_names_can_be_left_out(client, post, set_up):
    post(server="nas", job="Photos")
    post(server="vault", job="Ledger")
    link = set_up(shows_names=False)
    text = client.get(link).text.replace(link, "")  # a random link may contain a name
    assert re.findall(r"Server \d|Job \d", text) == ["Server 1", "Job 1", "Server 2", "Job 1"]
    for name in ("nas", "vault", "Photos", "Ledger"):
        assert name not in text


def test_only_chosen_servers_and_jobs_are_shown(app, client, post, set_up):
    post(server="nas", job="Photos")
    post(server="nas", job="Mail")
    post(server="vault", job="Ledger")
    post(server="attic", job="Films")
    with app.app_context():
        mail = next(job.job_id for job in overview.overview(runtime.now(), None).jobs if job.name == "Mail")
    address = set_up(shows_all=False, server_ids=["id-of-vault", "id-of-nobody"], job_ids=[mail, 999])
    post(server="vault", job="Later")
    text = client.get(address).text
    assert [name in text for name in ("Mail", "Ledger", "Later", "Photos", "Films")] == [True] * 3 + [False] * 2


def test_page_without_content_is_rejected(set_up):
    with pytest.raises(Exception, match="servers: select at least one server or job, or show all"):
        set_up(shows_all=False)


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([("Success", 1)], "The only job is OK"),
        ([("Success", 1), ("Success", 2)], "All 2 jobs OK"),
        ([("Success", 1), ("Warning", 1)], "1 with warnings"),
        ([("Success", 1), ("Unknown", 1)], "1 with unknown status"),
        ([("Success", 1), ("Error", 1), ("Success", 90)], "1 failed, 1 overdue"),
        ([], "Nothing to show yet"),
    ],
)
def test_page_shows_the_state_in_one_sentence(client, post, set_up, runs, expected):
    for number, (status, hours_ago) in enumerate(runs):
        post(hours_ago, job=f"job {number}", status=status)
    assert summary_text(client.get(set_up())) == expected


def test_page_is_cached_for_a_minute_and_not_indexed(client, post, set_up):
    post()
    answer = client.get(set_up())
    assert answer.headers["Cache-Control"] == "max-age=60"
    assert answer.headers["X-Robots-Tag"].startswith("noindex")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "Set-Cookie" not in answer.headers
    again = client.get(answer.request.path, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_wrong_link_is_not_cached(client, set_up):
    set_up()
    assert client.get("/status/wrong").headers["Cache-Control"] == "no-store"


def test_external_allow_list_applies_to_the_page(admin, client, set_up):
    address = set_up()
    lists = {"enabled": True, "networks": ["192.0.2.0/24"]}
    assert admin.send("PATCH", "/api/access/allow-lists/external", json=lists).status_code == 200
    assert client.get(address, environ_overrides=REMOTE_CLIENT).status_code == 403
    assert client.get(address, environ_overrides={"REMOTE_ADDR": "192.0.2.7"}).status_code == 200


def test_guessing_is_rate_limited(client, set_up):
    set_up()
    seen = {client.get("/status/guess", environ_overrides=REMOTE_CLIENT).status_code for _ in range(310)}
    assert seen == {404, 429}


def form(admin, **changes):
    token = admin.get("/api/csrf").json["token"]
    return {"csrf_token": token, "is_enabled": "on", "title": "Ours", "scope": "all"} | changes


def test_administrator_sets_up_the_page_and_renews_its_link(app, admin, client, db):
    admin.post("/settings/status-page", data=form(admin))
    first = status_page.current()
    assert (first.is_enabled, first.title, first.shows_names, first.shows_all) == (True, "Ours", False, True)
    admin.post("/settings/status-page/new-link", data=form(admin))
    second = status_page.current()
    assert second.slug != first.slug
    assert client.get(f"/status/{first.slug}").status_code == 404
    assert client.get(f"/status/{second.slug}").status_code == 200
    entries = db.session.query(AuditEntry).filter(AuditEntry.action.like("status_page%")).all()
    assert [entry.action for entry in entries] == ["status_page_updated", "status_page_link_renewed"]
    assert not any(second.slug in str(entry.details) for entry in entries)


def test_rejection_is_reported_and_changes_nothing(admin, db):
    answer = admin.post("/settings/status-page", data=form(admin, scope="chosen"))
    assert answer.status_code == 303
    assert not status_page.current().is_enabled


def test_other_accounts_cannot_set_it_up(admin, client, db):
    data = form(admin)
    assert client.post("/settings/status-page", data=data).status_code in (303, 403)
    assert not status_page.current().is_enabled
