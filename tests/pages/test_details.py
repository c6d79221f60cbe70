"""The pages of a server and of a run."""

import re

import pytest


def run_link(text: str) -> str:
    return re.search(r"/detail/[^\"]+/backup/[0-9a-f-]{36}", text)[0]


def tiles(text: str) -> dict[str, str]:
    return dict(re.findall(r"</svg>([^<]+)</dt><dd>([^<]+)</dd>", text))


def test_the_tiles_of_a_server_count_all_its_jobs(admin, post):
    post(5, job="Photos")
    post(4, job="Photos")
    post(3, job="Mail")
    found = tiles(admin.get("/detail/id-of-nas").text)
    assert found["Backup jobs"] == "2"
    assert found["Backup runs"] == "3"
    assert found["Avg. duration"] == "00:07:00"
    assert found["Total uploaded"] == "15.00 MB"


def test_a_chosen_job_narrows_tiles_and_history(admin, post):
    post(5, job="Photos")
    post(3, job="Mail")
    text = admin.get("/detail/id-of-nas?backup=Mail").text
    assert tiles(text)["Backup runs"] == "1"
    assert len(re.findall(r'id="run-row-', text)) == 1
    assert 'aria-current="page">Mail' in text


def test_the_history_pages_on(admin, post):
    for hour in range(1, 8):
        post(hour)
    first = admin.get("/detail/id-of-nas?size=5").text
    second = admin.get("/detail/id-of-nas?size=5&page=2").text
    assert first.count('id="run-row-') == 5
    assert second.count('id="run-row-') == 2
    assert "Page 2 of 2" in second


def test_a_page_beyond_the_last_shows_the_last(admin, post):
    for hour in range(1, 8):
        post(hour)
    assert "Page 2 of 2" in admin.get("/detail/id-of-nas?size=5&page=99").text


def test_the_history_sorts_by_any_column(admin, post):
    post(3, Duration="00:01:00")
    post(2, Duration="03:00:00")
    post(1, Duration="00:02:00")
    text = admin.get("/detail/id-of-nas?sort=-duration").text
    assert re.findall(r'data-label="Duration" class="number">([\d:]+)<', text) == ["03:00:00", "00:02:00", "00:01:00"]


@pytest.mark.parametrize(
    ("range_name", "points"), [("1W", 7), ("1M", 30), ("3M", 30), ("6M", 26), ("1Y", 27), ("2Y", 27)]
)
def test_the_range_decides_how_many_points_a_chart_has(admin, post, range_name, points):
    post()
    text = admin.get(f"/detail/id-of-nas?range={range_name}").text
    table = text[text.index('id="metrics-table"') :]
    assert table.count('<tr><th scope="row">') == points


def test_chart_values_stand_in_the_table(admin, post):
    post(2)
    post(1)
    text = admin.get("/detail/id-of-nas").text
    newest = text[text.index('id="metrics-table"') :].split("<tr>")[-1]
    assert f'data-value="{2 * 5 * 1024**2}' in newest
    assert "00:14:00" in newest


def test_an_unknown_server_is_a_page_that_leads_home(admin):
    answer = admin.get("/detail/nobody")
    assert answer.status_code == 404
    assert 'href="/"' in answer.text
    assert answer.mimetype == "text/html"


def test_an_unknown_job_is_not_found(admin, post):
    post()
    assert admin.get("/detail/id-of-nas?backup=Nothing").status_code == 404


def test_a_run_shows_its_figures_and_its_log_gravest_first(admin, post):
    post(status="Error", Errors=["2031-05-04 10:00:00 +00 - [Error-Duplicati.X]: It broke"], Warnings=["Careful"])
    text = admin.get(run_link(admin.get("/detail/id-of-nas").text)).text
    places = [text.index(f'id="{name}-title"') for name in ("errors", "warnings", "messages")]
    assert places == sorted(places)
    assert tiles(text)["File size"] == "3.00 GB"
    assert '<span class="log-mark">[Error-Duplicati.X]</span>' in text
    assert '<span class="log-text">It broke</span>' in text


def test_a_log_that_was_cut_says_how_much_is_shown(admin, post):
    post(MessagesActualLength=500)
    text = admin.get(run_link(admin.get("/detail/id-of-nas").text)).text
    assert "Showing only the first 1 of 500" in text


def test_runs_lead_to_their_neighbours(admin, post):
    for hour in (3, 2, 1):
        post(hour)
    rows = re.findall(r'id="run-row-([0-9a-f-]+)"', admin.get("/detail/id-of-nas").text)
    middle = admin.get(f"/detail/id-of-nas/backup/{rows[1]}").text
    assert re.search(rf'rel="prev" href="/detail/id-of-nas/backup/{rows[2]}"', middle)
    assert re.search(rf'rel="next" href="/detail/id-of-nas/backup/{rows[0]}"', middle)


def test_a_run_of_another_server_is_not_found(admin, post):
    post(server="nas")
    post(server="desktop")
    link = run_link(admin.get("/detail/id-of-nas").text)
    assert admin.get(link.replace("id-of-nas", "id-of-desktop")).status_code == 404


@pytest.mark.parametrize("run_id", ["no-uuid", "00000000-0000-0000-0000-000000000000"])
def test_an_unknown_run_is_not_found(admin, post, run_id):
    post()
    assert admin.get(f"/detail/id-of-nas/backup/{run_id}").status_code == 404


def test_versions_begin_with_the_run_itself(admin, post):
    lines = ["2031-05-04 10:00:00 +00 - [Information-X]: Backups to consider: 5/3/2031 2:00:00 AM, 5/2/2031 2:00:00 AM"]
    post(Messages=lines)
    link = run_link(admin.get("/detail/id-of-nas").text)
    text = admin.get(f"{link}/versions").text
    assert re.findall(r'class="number">(\d+)</th>', text) == ["0", "1", "2"]


def test_the_card_of_a_job_says_since_when_it_is_overdue(admin, post):
    post(72)
    text = admin.get("/detail/id-of-nas/job?backup=Photos").text
    assert "no report has come" in text
    assert "Counts as overdue from" in text


def test_an_unknown_job_has_no_card(admin, post):
    post()
    assert admin.get("/detail/id-of-nas/job?backup=Nothing").status_code == 404


def test_the_charts_of_all_servers_sum_them(admin, post):
    post(server="nas")
    post(server="desktop")
    text = admin.get("/charts?range=1W").text
    assert text.count('<tr><th scope="row">') == 7
    assert f'data-value="{2 * 5 * 1024**2}' in text


def test_a_list_that_holds_the_version_of_the_run_does_not_show_it_twice(admin, post):
    mark = "2031-05-04 11:07:00 +00 - [Information-X]: Backups to consider:"
    post(1, Messages=[f"{mark} 5/4/2031 11:00:00 AM, 5/3/2031 2:00:00 AM"])
    link = run_link(admin.get("/detail/id-of-nas").text)
    assert re.findall(r'class="number">(\d+)</th>', admin.get(f"{link}/versions").text) == ["0", "1"]


def test_a_run_that_is_due_but_not_overdue_is_said_to_be_due(admin, post):
    post(25, job="Photos")
    rows = admin.get("/?view=table").text.split("<tbody>")[1]
    assert "due now" in rows
    assert "overdue by" not in rows
