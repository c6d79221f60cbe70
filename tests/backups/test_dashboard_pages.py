"""The dashboard: status, issues, filter, order, and refresh."""

import re

import pytest
from factories import find_job
from statements import sent_statements

from app.core.db.orm import writing
from app.core.settings import store as settings_store

BOARD = {"HX-Request": "true", "HX-Target": "board"}


def heading(text: str) -> str:
    found = re.search(r"<h1[^>]*>(.*?)</h1>", text, re.S)
    return re.sub(r"<[^>]+>", "", found[1]).strip() if found else ""


def order_of(text: str, *names: str) -> list[str]:
    listing = text[text.index('id="listing"') :]
    return sorted(names, key=listing.index)


def test_without_reports_the_first_steps_are_shown_with_our_address(admin):
    text = admin.get("/").text
    assert "Waiting for the first report" in text
    assert "--send-http-json-urls=http://localhost/api/upload" in text
    assert "--send-http-url=http://localhost/api/upload" in text


def test_a_public_address_is_shown_if_set(admin, app, clock):
    with app.app_context():
        settings_store.put("public_url", "https://backup.example/", now=clock.now)
    assert "--send-http-url=https://backup.example/api/upload" in admin.get("/connect").text


def test_heading_and_title_show_that_all_jobs_are_ok(admin, post):
    post(job="Photos")
    post(job="Mail")
    text = admin.get("/").text
    assert heading(text) == "All 2 jobs OK, last run 1 hour ago"
    assert "<title>All 2 jobs OK \u2013 duplistatus</title>" in text


def test_overdue_and_failed_jobs_are_counted_in_the_title(admin, post):
    post(72, job="Photos")
    post(1, job="Mail", status="Error", Errors=["No space left"])
    text = admin.get("/").text
    assert "<title>1 overdue, 1 failed" in text
    assert "icons/problem.svg" in text
    assert 'data-show="overdue">overdue by 2 days<' in admin.get("/?view=table").text


@pytest.mark.parametrize(
    ("statuses", "picture"), [([], "empty"), (["Success"], "fine"), (["Success", "Warning"], "attention")]
)
def test_the_favicon_follows_the_status(admin, post, statuses, picture):
    for status in statuses:
        post(1, job=status, status=status)
    text = admin.get("/").text
    assert re.search(r'id="favicon" href="/static/icons/(\w+)\.svg', text)[1] == picture
    assert re.search(r'data-favicon="/static/icons/(\w+)\.svg', text)[1] == picture


@pytest.mark.parametrize(
    ("errors", "reason"), [(["No space left"], "The last run failed with 1 error."), ([], "The last run failed.")]
)
def test_a_failed_job_is_listed_with_reason_and_link_to_its_run(admin, post, errors, reason):
    post(job="Mail", status="Error", Errors=errors, ErrorsActualLength=len(errors))
    text = admin.get("/").text
    concern = text[text.index('id="attention"') : text.index('id="listing"')]
    assert reason in concern
    assert re.search(r'href="/detail/id-of-nas/backup/[0-9a-f-]{36}"', concern)


def test_a_successful_job_is_not_listed_as_an_issue(admin, post):
    post()
    assert "Needs attention" not in admin.get("/").text


def test_the_filter_leaves_servers_with_a_matching_job(admin, post):
    post(server="nas", job="Photos")
    post(server="desktop", job="Mail")
    text = admin.get("/?q=PHOTO").text
    assert "server-id-of-nas" in text
    assert "server-id-of-desktop" not in text


def test_the_table_leaves_only_matching_rows_of_a_server(admin, post):
    post(server="nas", job="Photos")
    post(server="nas", job="Mail")
    rows = admin.get("/?view=table&q=mail").text.split("<tbody>")[1]
    assert ">Mail</a>" in rows
    assert ">Photos</a>" not in rows


def test_a_filter_without_match_shows_a_message_and_a_clear_link(admin, post):
    post()
    text = admin.get("/?q=<b>nothing").text
    assert "No match for “&lt;b&gt;nothing”" in text
    assert "Clear the filter" in text


def test_the_table_sorts_both_ways_and_shows_the_order(admin, post):
    post(job="Few", ExaminedFiles=1, Duration="00:00:10")
    post(job="Long", ExaminedFiles=1, Duration="05:00:00")
    upward = admin.get("/?view=table&sort=duration").text
    downward = admin.get("/?view=table&sort=-duration").text
    assert order_of(upward, ">Few<", ">Long<") == [">Few<", ">Long<"]
    assert order_of(downward, ">Few<", ">Long<") == [">Long<", ">Few<"]
    assert 'aria-sort="ascending"' in upward
    assert 'aria-sort="descending"' in downward


def test_cards_are_shown_in_the_chosen_order(admin, post):
    post(server="fine", hours_ago=1)
    post(server="odd", hours_ago=2, status="Unknown")
    post(server="warned", hours_ago=3, status="Warning")
    post(server="broken", hours_ago=4, status="Error")
    names = [f'id="server-id-of-{name}"' for name in ("broken", "fine", "odd", "warned")]
    broken, fine, odd, warned = names
    assert order_of(admin.get("/?view=cards&order=name").text, *names) == [broken, fine, odd, warned]
    assert order_of(admin.get("/?view=cards&order=status").text, *names) == [broken, odd, warned, fine]
    assert order_of(admin.get("/?view=cards&order=newest").text, *names) == [fine, odd, warned, broken]


@pytest.mark.parametrize("sort", ["next", "-next"])
def test_rows_without_a_sort_value_are_last_both_ways(admin, db, post, sort):
    post(job="Unwatched")
    post(job="Watched")
    with writing():
        find_job("id-of-nas", "Unwatched").is_overdue_check_enabled = False
    text = admin.get(f"/?view=table&sort={sort}").text
    assert order_of(text, ">Unwatched<", ">Watched<") == [">Watched<", ">Unwatched<"]


def test_unknown_values_in_the_url_are_ignored(admin, post):
    post()
    assert admin.get("/?view=spiral&sort=-nothing&order=fate").status_code == 200


def test_the_view_is_remembered_with_the_account(admin, post):
    post()
    answer = admin.send("POST", "/preferences", data={"dashboard_view": "table", "back": "/"})
    assert answer.status_code == 303
    assert "<tbody>" in admin.get("/").text


def test_the_theme_is_remembered_with_the_account(admin):
    admin.send("POST", "/preferences", data={"theme": "dark"})
    assert 'data-bs-theme="dark"' in admin.get("/").text


def test_an_unknown_theme_changes_nothing(admin):
    admin.send("POST", "/preferences", data={"theme": "purple"})
    assert 'class="theme-system"' in admin.get("/").text


def test_the_fragment_is_sent_without_the_page_around_it(admin, post):
    post()
    text = admin.get("/", headers=BOARD).text
    assert text.lstrip().startswith('<div id="board"')
    assert "<html" not in text


def test_an_unchanged_fragment_is_answered_with_304(admin, post, clock):
    post()
    etag = admin.get("/", headers=BOARD).headers["ETag"]
    clock.advance(seconds=5)
    assert admin.get("/", headers=BOARD | {"If-None-Match": etag}).status_code == 304


def test_a_new_report_changes_the_fragment(admin, post):
    post(3)
    etag = admin.get("/", headers=BOARD).headers["ETag"]
    post(1)
    answer = admin.get("/", headers=BOARD | {"If-None-Match": etag})
    assert answer.status_code == 200
    assert "2 Success" in answer.text


def test_the_heartbeat_bar_is_padded_on_the_left_and_described(admin, post):
    post(2, status="Success")
    post(1, status="Warning", Warnings=["Locked"])
    text = admin.get("/").text
    strip = re.search(r'<svg class="strip".*?</svg>', text, re.S)[0]
    assert strip.count("M") == 12
    positions = {kind: re.findall(r"M(\S+) ", shape) for kind, shape in re.findall(r'beat-(\w+)" d="(.*?)"', strip)}
    assert positions["empty"] == [f"{9 * slot}.5" for slot in range(10)]
    assert (positions["ok"], positions["warn"]) == (["91"], ["100"])
    assert 'aria-label="Last 2 runs: 1 Success, 1 Warning. Newest: Warning"' in strip


def test_a_missed_run_is_a_gap_in_the_heartbeat_bar(admin, post):
    for days_ago in (4, 3, 1):
        post(24 * days_ago)
    assert 'aria-label="Last 3 runs: 3 Success, 1 Missed. Newest: Success"' in admin.get("/").text


@pytest.mark.parametrize(
    ("status", "left"),
    [
        ("fine", {"Photos"}),
        ("failed", {"Mail"}),
        ("overdue", {"Music"}),
        ("trouble", {"Mail", "Music"}),
        ("muted", set()),
    ],
)
def test_the_status_filter_leaves_jobs_of_that_kind_in_every_view(admin, post, status, left):
    post(job="Photos")
    post(job="Mail", status="Error", Errors=["No space left"])
    post(96, job="Music")
    for view in ("cards", "table", "compact"):
        text = admin.get(f"/?view={view}&status={status}").text
        listing = text[text.index('class="listing-tools"') :].partition("<aside")[0]
        assert {job for job in ("Photos", "Mail", "Music") if f"backup={job}" in listing} == left


def test_a_tag_of_a_server_or_of_a_job_filters(admin, post):
    post(server="nas", job="Photos")
    post(server="nas", job="Mail")
    post(server="desktop", job="Home")
    admin.send("PATCH", "/api/tags/id-of-desktop", json={"tags": ["house"]})
    admin.send("PATCH", "/api/tags/id-of-nas", json={"tags": ["house", "cloud"], "backupName": "Mail"})
    rows = admin.get("/?view=compact&tag=house").text.partition('class="panel compact"')[2].partition("</ul>")[0]
    assert "backup=Mail" in rows
    assert "backup=Home" in rows
    assert "backup=Photos" not in rows


def test_filters_are_kept_until_they_are_cleared(admin, post):
    post(job="Photos")
    admin.get("/?view=compact&status=failed")
    assert "No matching servers or jobs" in admin.get("/").text
    admin.get("/?status=")
    assert "No matching servers or jobs" not in admin.get("/").text


def test_polling_does_not_store_filters(admin, post):
    post()
    etag = admin.get("/", headers=BOARD).headers["ETag"]
    admin.get("/?view=compact", headers=BOARD | {"If-None-Match": etag})
    assert "server-id-of-nas" in admin.get("/").text


def mute(admin, **form):
    fields = {"csrf_token": admin.get("/api/csrf").get_json()["token"], "backup": "Mail", "back": "/?view=table"}
    return admin.post("/detail/id-of-nas/mute", data=fields | form)


def test_a_muted_job_raises_no_alarm_and_is_listed_as_muted(admin, post):
    post(job="Photos")
    post(job="Mail", status="Error", Errors=["No space left"])
    answer = mute(admin, length="1d", note="New disk on Friday")
    assert (answer.status_code, answer.location) == (303, "/?view=table")
    text = admin.get("/?view=cards").text
    assert heading(text).startswith("1 job OK, 1 muted")
    assert "Needs attention" not in text
    assert "1 muted job needs attention" in text
    assert "New disk on Friday" in admin.get("/detail/id-of-nas/job?backup=Mail").text
    mute(admin, do="end")
    assert heading(admin.get("/").text) == "1 failed"


def test_a_whole_server_is_muted(admin, post):
    post(job="Mail", status="Error", Errors=["No space left"])
    mute(admin, whole_server="on", length="1w")
    assert "1 muted" in heading(admin.get("/").text)


def test_only_administrators_mute_and_tag(admin, app, client, post):
    post(job="Mail")
    account = {"username": "eve", "isAdmin": False, "autoGeneratePassword": False, "password": "Other8Password"}
    admin.send("POST", "/api/users", json=account | {"requirePasswordChange": False})
    eve = app.test_client()
    assert eve.sign_in("eve", "Other8Password").status_code == 200
    assert eve.get("/detail/id-of-nas/mute?backup=Mail").status_code == 403
    assert "/mute?" not in eve.get("/").text


def test_tags_and_the_size_of_the_destination_are_saved_in_one_dialog(admin, post):
    post(job="Mail")
    form = {"csrf_token": admin.get("/api/csrf").get_json()["token"], "backup": "Mail", "back": "/"}
    form |= {"tags": "cloud,  daily ", "server_tags": "house", "quota": "1,5", "unit": "TB"}
    assert admin.post("/detail/id-of-nas/tags", data=form).status_code == 303
    (job,) = admin.get("/api/insight/id-of-nas").get_json()["backups"]
    assert job["quotaBytes"] == 1.5 * 1024**4
    assert admin.get("/api/tags").get_json()["tags"] == ["cloud", "daily", "house"]
    rejected = admin.post("/detail/id-of-nas/tags", data=form | {"quota": "much"})
    assert rejected.status_code == 400
    assert 'value="much"' in rejected.text
    assert "Enter a size greater than 0." in rejected.text


def test_an_unusual_run_is_listed_without_an_alarm(admin, post):
    for days_ago in range(12, 0, -1):
        post(24 * days_ago)
    post(1, BackendStatistics={"BytesUploaded": 2 * 1024**3, "KnownFileSize": 7 * 1024**3})
    text = admin.get("/").text
    assert heading(text).startswith("The only job is OK")
    assert "The last run was unusual: upload 410 times the usual size (2.00 GB, typically 5.00 MB)" in text


def test_a_destination_that_is_nearly_full_is_listed_with_the_space_left(admin, post):
    for days_ago in range(60, 0, -1):
        storage = {"KnownFileSize": (100 - days_ago) * 1024**3, "TotalQuotaSpace": 200 * 1024**3}
        post(24 * days_ago, BackendStatistics=storage | {"FreeQuotaSpace": 10 * 1024**3, "BytesUploaded": 1024**3})
    text = admin.get("/").text
    assert "The destination will be full in about 9 days" in text
    assert "10.00 GB left" in text


def test_the_side_panel_shows_shares_and_days_or_charts_or_nothing(admin, post):
    post(job="Photos")
    post(job="Mail", status="Error", Errors=["No space left"])
    status = admin.get("/?panel=status").text
    assert 'class="heatmap"' in status
    assert "2 runs, 1 job failed" in status
    assert "50 %" in status
    assert admin.get("/?panel=charts&range=1W").text.count('class="small-chart"') == 3
    assert "<aside" not in admin.get("/?panel=none").text


def test_the_table_links_to_the_job_and_to_its_duplicati(admin, post, app):
    post(job="Mail")
    admin.send("PATCH", "/api/servers/id-of-nas", json={"server_url": "https://nas.example:8200"})
    row = admin.get("/?view=table").text.partition("<tbody>")[2]
    assert "tab=notifications" in row
    assert 'href="https://nas.example:8200"' in row


def test_names_from_reports_are_escaped(admin, post):
    post(server="<script>alert(1)</script>", job="<img src=x>")
    text = admin.get("/").text
    assert "<script>alert" not in text
    assert "<img src=x>" not in text


def test_thirty_jobs_need_a_small_page_and_few_statements(admin, post):
    for server in range(10):
        for job in range(3):
            post(server=f"server-{server}", job=f"job-{job}")
    for minutes, view in enumerate(("cards", "table", "compact")):
        post(server="server-0", job="job-0", hours_ago=0.5 - minutes / 60)
        with sent_statements() as seen:
            answer = admin.get(f"/?view={view}")
        assert len(answer.data) < 150_000
        assert len(seen) <= 10
