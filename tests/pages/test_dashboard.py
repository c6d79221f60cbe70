"""The dashboard: its verdict, what needs a person, filter, order, and how it keeps itself fresh."""

import re

from app.services import configuration

BOARD = {"HX-Request": "true", "HX-Target": "board"}


def heading(text: str) -> str:
    found = re.search(r"<h1[^>]*>(.*?)</h1>", text, re.S)
    return re.sub(r"<[^>]+>", "", found[1]).strip() if found else ""


def order_of(text: str, *names: str) -> list[str]:
    listing = text[text.index('id="listing"') :]
    return sorted(names, key=listing.index)


def test_without_reports_the_first_steps_stand_there_with_our_address(admin):
    text = admin.get("/").text
    assert "Waiting for the first backup report" in text
    assert "--send-http-json-urls=http://localhost/api/upload" in text
    assert "--send-http-url=http://localhost/api/upload" in text


def test_a_public_address_is_the_one_that_is_told(admin, app, clock):
    with app.app_context():
        configuration.put("public_url", "https://backup.example/", now=clock.now)
    assert "--send-http-url=https://backup.example/api/upload" in admin.get("/connect").text


def test_all_fine_is_said_in_the_heading_and_in_the_title(admin, post):
    post(job="Photos")
    post(job="Mail")
    text = admin.get("/").text
    assert heading(text) == "All 2 jobs are fine, last run 1 hour ago"
    assert "<title>All 2 jobs are fine \u2013 duplistatus</title>" in text


def test_overdue_and_failed_jobs_are_counted_in_the_title(admin, post):
    post(72, job="Photos")
    post(1, job="Mail", status="Error", Errors=["No space left"])
    text = admin.get("/").text
    assert "<title>1 overdue, 1 failed" in text
    assert "icons/trouble.svg" in text


def test_a_failed_job_is_listed_with_reason_and_link_to_its_run(admin, post):
    post(job="Mail", status="Error", Errors=["No space left"], ErrorsActualLength=1)
    text = admin.get("/").text
    concern = text[text.index('id="attention"') : text.index('id="listing"')]
    assert "The last run failed with 1 error" in concern
    assert re.search(r'href="/detail/id-of-nas/backup/[0-9a-f-]{36}"', concern)


def test_a_job_with_success_needs_nobody(admin, post):
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


def test_a_filter_without_match_says_so_and_offers_to_clear_it(admin, post):
    post()
    text = admin.get("/?q=<b>nothing").text
    assert "No match for “&lt;b&gt;nothing”" in text
    assert "Clear the filter" in text


def test_the_table_sorts_both_ways_and_says_which(admin, post):
    post(job="Few", ExaminedFiles=1, Duration="00:00:10")
    post(job="Long", ExaminedFiles=1, Duration="05:00:00")
    upward = admin.get("/?view=table&sort=duration").text
    downward = admin.get("/?view=table&sort=-duration").text
    assert order_of(upward, ">Few<", ">Long<") == [">Few<", ">Long<"]
    assert order_of(downward, ">Few<", ">Long<") == [">Long<", ">Few<"]
    assert 'aria-sort="ascending"' in upward
    assert 'aria-sort="descending"' in downward


def test_unknown_words_in_the_address_do_no_harm(admin, post):
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


def test_the_board_comes_without_the_page_around_it(admin, post):
    post()
    text = admin.get("/", headers=BOARD).text
    assert text.lstrip().startswith('<div id="board"')
    assert "<html" not in text


def test_an_unchanged_board_is_answered_with_304(admin, post, clock):
    post()
    etag = admin.get("/", headers=BOARD).headers["ETag"]
    clock.advance(seconds=5)
    assert admin.get("/", headers=BOARD | {"If-None-Match": etag}).status_code == 304


def test_a_new_report_makes_a_new_board(admin, post):
    post(3)
    etag = admin.get("/", headers=BOARD).headers["ETag"]
    post(1)
    answer = admin.get("/", headers=BOARD | {"If-None-Match": etag})
    assert answer.status_code == 200
    assert "2 Success" in answer.text


def test_the_strip_is_padded_on_the_left_and_says_what_it_shows(admin, post):
    post(2, status="Success")
    post(1, status="Warning", Warnings=["Locked"])
    text = admin.get("/").text
    strip = re.search(r'<svg class="strip".*?</svg>', text, re.S)[0]
    shapes = re.findall(r"#(run-\w+)", strip)
    assert shapes == ["run-none"] * 8 + ["run-S", "run-W"]
    assert 'aria-label="Last 2 runs: 1 Success, 1 Warning. Newest: Warning"' in strip


def test_names_from_reports_are_escaped(admin, post):
    post(server="<script>alert(1)</script>", job="<img src=x>")
    text = admin.get("/").text
    assert "<script>alert" not in text
    assert "<img src=x>" not in text


def test_thirty_jobs_stay_under_the_size_limit(admin, post):
    for server in range(10):
        for job in range(3):
            post(server=f"server-{server}", job=f"job-{job}")
    cards, table = admin.get("/?view=cards"), admin.get("/?view=table")
    assert len(cards.data) < 75_000
    assert len(table.data) < 150_000
