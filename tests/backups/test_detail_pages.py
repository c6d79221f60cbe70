"""The pages of a server and of a run."""

import re

import pytest
from statements import sent_statements

ROW_HEAD = r'<tr>\s*<th scope="row">'


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
    assert found["Average duration"] == "00:07:00"
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


def test_a_page_out_of_range_is_the_last_one(admin, post):
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
def test_the_range_limits_the_points_of_a_chart(admin, post, range_name, points):
    post()
    text = admin.get(f"/detail/id-of-nas?range={range_name}").text
    table = text[text.index('id="metrics-table"') :]
    assert len(re.findall(ROW_HEAD, table)) == points


def test_chart_values_are_shown_in_the_table(admin, post):
    post(2)
    post(1)
    text = admin.get("/detail/id-of-nas").text
    newest = text[text.index('id="metrics-table"') :].split("<tr>")[-1]
    assert f'data-value="{2 * 5 * 1024**2}' in newest
    assert "00:14:00" in newest
    assert re.search(r'<time datetime="(\d+)-(\d+)-(\d+)">\3/\2/\1</time>', newest)  # the day as the account formats it


def test_an_unknown_server_is_a_page_with_a_link_to_the_dashboard(admin):
    answer = admin.get("/detail/nobody")
    assert answer.status_code == 404
    assert 'href="/"' in answer.text
    assert answer.mimetype == "text/html"


def test_an_unknown_job_is_not_found(admin, post):
    post()
    assert admin.get("/detail/id-of-nas?backup=Nothing").status_code == 404


def test_a_run_shows_its_figures_and_its_log_with_errors_first(admin, post):
    post(status="Error", Errors=["2031-05-04 10:00:00 +00 - [Error-Duplicati.X]: It broke"], Warnings=["Careful"])
    text = admin.get(run_link(admin.get("/detail/id-of-nas").text)).text
    positions = [text.index(f'id="{name}-title"') for name in ("errors", "warnings", "messages")]
    assert positions == sorted(positions)
    assert tiles(text)["File size"] == "3.00 GB"
    assert '<span class="log-mark">[Error-Duplicati.X]</span>' in text
    assert '<span class="log-text">It broke</span>' in text


def test_a_truncated_log_shows_how_much_is_shown(admin, post):
    post(MessagesActualLength=500)
    text = admin.get(run_link(admin.get("/detail/id-of-nas").text)).text
    assert "1 of 500 lines received" in text


def test_runs_link_to_their_neighbours(admin, post):
    for hour in (3, 2, 1):
        post(hour)
    rows = re.findall(r'id="run-row-([0-9a-f-]+)"', admin.get("/detail/id-of-nas").text)
    middle = admin.get(f"/detail/id-of-nas/backup/{rows[1]}").text
    assert re.search(rf'rel="prev"\s+href="/detail/id-of-nas/backup/{rows[2]}"', middle)
    assert re.search(rf'rel="next"\s+href="/detail/id-of-nas/backup/{rows[0]}"', middle)


def test_a_run_of_another_server_is_not_found(admin, post):
    post(server="nas")
    post(server="desktop")
    link = run_link(admin.get("/detail/id-of-nas").text)
    assert admin.get(link.replace("id-of-nas", "id-of-desktop")).status_code == 404


@pytest.mark.parametrize("run_id", ["no-uuid", "00000000-0000-0000-0000-000000000000"])
def test_an_unknown_run_is_not_found(admin, post, run_id):
    post()
    assert admin.get(f"/detail/id-of-nas/backup/{run_id}").status_code == 404


def test_versions_start_with_the_run_itself(admin, post):
    lines = ["2031-05-04 10:00:00 +00 - [Information-X]: Backups to consider: 5/3/2031 2:00:00 AM, 5/2/2031 2:00:00 AM"]
    post(Messages=lines)
    link = run_link(admin.get("/detail/id-of-nas").text)
    text = admin.get(f"{link}/versions").text
    assert re.findall(r'class="number">(\d+)</th>', text) == ["0", "1", "2"]


def test_the_card_of_a_job_shows_since_when_it_is_overdue(admin, post):
    post(72)
    text = admin.get("/detail/id-of-nas/job?backup=Photos").text
    assert "), but no report has been received." in text
    assert "Overdue after" in text


def test_an_unknown_job_has_no_card(admin, post):
    post()
    assert admin.get("/detail/id-of-nas/job?backup=Nothing").status_code == 404


def test_the_charts_of_all_servers_sum_them(admin, post):
    post(server="nas")
    post(server="desktop")
    text = admin.get("/charts?range=1W").text
    assert len(re.findall(ROW_HEAD, text)) == 7
    assert f'data-value="{2 * 5 * 1024**2}' in text


def test_a_version_in_the_list_is_not_shown_twice(admin, post):
    mark = "2031-05-04 11:07:00 +00 - [Information-X]: Backups to consider:"
    post(1, Messages=[f"{mark} 5/4/2031 11:00:00 AM, 5/3/2031 2:00:00 AM"])
    link = run_link(admin.get("/detail/id-of-nas").text)
    assert re.findall(r'class="number">(\d+)</th>', admin.get(f"{link}/versions").text) == ["0", "1"]


def test_a_run_that_is_due_but_not_overdue_is_shown_as_due(admin, post):
    post(25, job="Photos")
    rows = admin.get("/?view=table").text.split("<tbody>")[1]
    assert "due now" in rows
    assert "overdue by" not in rows


class TestOwnDates:
    def test_days_of_the_url_are_shown(self, admin, post):
        post(30)
        text = admin.get("/charts?from=2031-05-01&to=2031-05-03").text
        table = text[text.index('id="metrics-table"') :]
        assert re.findall(r'<time datetime="(2031[\d-]+)">', table) == ["2031-05-01", "2031-05-02", "2031-05-03"]

    @pytest.mark.parametrize(
        ("dates", "first", "last"),
        [
            ("from=2031-05-03&to=2031-05-01", "2031-05-01", "2031-05-03"),
            ("from=2031-05-01&to=2099-01-01", "2031-05-01", "2031-05-04"),
            ("from=2031-04-30", "2031-04-30", "2031-05-04"),
            ("to=2031-04-30", "2031-04-01", "2031-04-30"),
            ("from=9999-12-31", "2031-05-04", "2031-05-04"),
            ("from=soon&to=later", "2031-04-05", "2031-05-04"),
        ],
        ids=["in the wrong order", "into the future", "no end", "no beginning", "the end of time", "no dates"],
    )
    def test_invalid_days_are_corrected(self, admin, post, dates, first, last):
        post()
        text = admin.get(f"/charts?{dates}").text
        assert re.findall(r'type="date"[^>]* value="([\d-]+)"', text) == [first, last]

    def test_days_link_back_to_the_previous_range(self, admin, post):
        post()
        text = admin.get("/detail/id-of-nas?range=3M&from=2031-05-01&to=2031-05-03").text
        assert re.search(r'href="/detail/id-of-nas\?range=3M"\s+data-zoom-out', text)

    def test_a_century_is_shortened_and_aggregated(self, admin, post):
        post()
        text = admin.get("/charts?from=1931-05-01&to=2031-05-03").text
        table = text[text.index('id="metrics-table"') :]
        assert 0 < len(re.findall(ROW_HEAD, table)) <= 31


class TestLines:
    def test_each_job_can_have_its_own_line(self, admin, post):
        post(3, job="Photos")
        post(3, server="vault", job="Ledger")
        text = admin.get("/charts?by=job&range=1W").text
        heads = re.findall(r'id="metrics-table-1".*?<thead>(.*?)</thead>', text, re.S)[0]
        assert re.findall(r'class="number">([^<]+)<', heads) == ["nas: Photos", "vault: Ledger"]
        assert text.count(f'data-value="{7 * 1024**3}') == 2

    def test_jobs_of_one_server_are_named_without_the_server(self, admin, post):
        post(job="Photos")
        post(job="Mail")
        assert '<th scope="col" class="number">Mail</th>' in admin.get("/detail/id-of-nas?by=job").text

    def test_servers_can_have_lines(self, admin, post):
        post(job="Photos")
        post(job="Mail")
        post(server="vault")
        heads = admin.get("/charts?by=server").text.split('id="metrics-table-1"')[1].split("</thead>")[0]
        assert re.findall(r'class="number">([^<]+)<', heads) == ["nas", "vault"]

    def test_too_many_lines_share_the_last_one(self, admin, post):
        for number in range(10):
            post(job=f"job {number}")
        heads = admin.get("/charts?by=job").text.split('id="metrics-table-1"')[1].split("</thead>")[0]
        names = re.findall(r'class="number">([^<]+)<', heads)
        assert len(names) == 8
        assert names[-1] == "All others"


class TestTable:
    def test_table_contains_the_drawn_values(self, admin, post):
        post(job="=Photos")
        answer = admin.get("/charts.csv?range=1W&by=job&chart=uploadedSize")
        lines = answer.text.split("\r\n")
        assert answer.mimetype == "text/csv"
        assert answer.headers["Content-Disposition"] == (
            'attachment; filename="duplistatus-charts-2031-04-28-2031-05-04.csv"'
        )
        assert lines[0] == "from,to,Uploaded size (bytes): nas: =Photos"
        assert lines[1] == "2031-04-28,2031-04-28,"
        assert lines[7] == f"2031-05-04,2031-05-04,{5 * 1024**2}"

    def test_periods_of_the_table_end_with_the_range(self, admin, post):
        post()
        lines = admin.get("/charts.csv?from=2031-01-01&to=2031-05-04").text.split("\r\n")
        assert lines[1].startswith("2031-01-01,2031-01-07,")
        assert lines[-2].startswith("2031-04-30,2031-05-04,")

    def test_table_can_be_of_one_job(self, admin, post):
        post(job="Photos")
        post(job="Mail")
        rows = admin.get("/charts.csv?server=id-of-nas&backup=Mail&range=1W&chart=backupVersions").text.split("\r\n")
        assert rows[7].endswith(",4")

    @pytest.mark.parametrize("query", ["chart=nothing", "server=nobody"])
    def test_unknown_names_are_not_found(self, admin, post, query):
        post()
        assert admin.get(f"/charts.csv?{query}").status_code == 404


def test_charts_of_a_plugin_are_shown_after_our_own(admin, post):
    post()
    found = re.findall(r'<figure class="chart" id="chart-(\w+)"', admin.get("/charts").text)
    assert found[:6] == ["uploadedSize", "duration", "fileCount", "fileSize", "storageSize", "backupVersions"]
    assert found[6:] == sorted(found[6:])


def test_style_and_range_of_charts_follow_the_account(admin, post):
    post()
    token = admin.get("/api/csrf").json["token"]
    chosen = {"csrf_token": token, "chart_style": "bars", "chart_range": "6M"}
    admin.post("/preferences", data=chosen | {"back": "/charts#metrics-panel"})
    text = admin.get("/charts").text
    assert 'data-style="bars"' in text
    assert "(Last 6 months)" in text


@pytest.mark.parametrize(
    ("sort", "statuses"),
    [("status", ["Fatal", "Error", "Warning", "Success"]), ("-status", ["Success", "Warning", "Error", "Fatal"])],
)
def test_history_sorts_statuses_by_severity(admin, post, sort, statuses):
    for number, status in enumerate(["Warning", "Fatal", "Success", "Error"]):
        post(number + 1, status=status)
    rows = admin.get(f"/detail/id-of-nas?sort={sort}").text.split("<tbody>")[1].split("</tbody>")[0]
    assert re.findall(r"</svg>(Fatal|Error|Warning|Success)<", rows) == statuses


def test_history_sorts_jobs_by_name_regardless_of_case(admin, post):
    for number, job in enumerate(["beta", "Alpha", "Gamma"]):
        post(number + 1, job=job)
    rows = admin.get("/detail/id-of-nas?sort=job").text
    assert re.findall(r'data-label="Backup job">(\w+)<', rows) == ["Alpha", "beta", "Gamma"]


def test_overdue_job_links_to_its_configuration(admin, post):
    post(72)
    text = admin.get("/detail/id-of-nas").text
    assert 'href="/settings/?tab=monitoring"' in text or 'href="/settings?tab=monitoring"' in text


class TestComparison:
    def links(self, admin) -> list[str]:
        return re.findall(r'id="run-row-[^>]+>\s*<th[^>]+>\s*<a\s+href="([^"]+)"', admin.get("/detail/id-of-nas").text)

    def test_a_run_is_compared_with_the_previous_one(self, admin, post):
        post(2, ExaminedFiles=1000, Duration="00:10:00")
        post(1, ExaminedFiles=1500, Duration="00:05:00")
        text = admin.get(self.links(admin)[0]).text
        rows = re.findall(rf'{ROW_HEAD}([^<]+)</th>\s*<td class="number">([^<]+)</td>(.*?)</tr>', text, re.S)
        cells = {label: " ".join(re.sub(r"<[^>]+>", "", rest).split()) for label, _, rest in rows}
        assert cells["File count"] == "1,000 +500 +50 %"
        assert cells["Duration"] == "00:10:00 \u221200:05:00 \u221250 %"
        assert cells["Storage size"] == "7.00 GB unchanged"

    def test_the_first_run_has_no_comparison(self, admin, post):
        post()
        assert "comparison" not in admin.get(self.links(admin)[0]).text


class TestLog:
    @pytest.fixture
    def address(self, admin, post) -> str:
        """A run with 1,200 messages, two of them about lions, one error and a warning."""
        messages = [f"2031-05-04 10:00:00 +00 - [Information-X]: line {number}" for number in range(1198)]
        messages += ["The Lion & <lamb>", "lion and lion"]
        post(status="Error", Messages=messages, Warnings=["A lion warns"], Errors=["It broke"])
        return run_link(admin.get("/detail/id-of-nas").text)

    def test_first_thousand_lines_are_shown_with_a_link_to_all(self, admin, address):
        text = admin.get(address).text
        assert text.count('class="log-text"') == 1002
        assert "Show all 1,200 lines" in text
        assert admin.get(f"{address}?lines=all").text.count('class="log-text"') == 1202

    def test_search_reads_every_line_and_highlights_without_script(self, admin, address):
        text = admin.get(f"{address}?q=lion").text
        assert text.count('class="log-text"') == 3
        assert text.count("<mark>") == 4
        assert "The <mark>Lion</mark> &amp; &lt;lamb&gt;" in text
        assert "3 lines with" in text

    def test_kinds_can_be_filtered(self, admin, address):
        text = admin.get(f"{address}?show=errors&q=").text
        assert 'id="errors-title"' in text
        assert 'id="messages-title"' not in text

    def test_search_without_a_match_shows_a_message(self, admin, address):
        assert "No matches" in admin.get(f"{address}?q=unicorn.*").text

    def test_whole_log_can_be_downloaded_as_text(self, admin, address):
        answer = admin.get(f"{address}/log.txt")
        assert answer.mimetype == "text/plain"
        assert answer.headers["Content-Disposition"].startswith('attachment; filename="duplistatus-log-Photos-2031')
        assert answer.text.startswith("Errors\nIt broke\n\nWarnings\nA lion warns\n\nMessages\n")
        assert answer.text.endswith("lion and lion\n")


def test_detail_pages_need_few_statements(admin, post):
    for hour in range(1, 20):
        post(hour, job=f"job {hour % 3}")
    link = run_link(admin.get("/detail/id-of-nas").text)
    pages = ["/detail/id-of-nas", "/detail/id-of-nas?backup=job+1&sort=-size", "/charts?by=job", "/charts.csv", link]
    for place, address in enumerate(pages):
        post(0.1 * place)  # no cached value is valid any more
        with sent_statements() as seen:
            assert admin.get(address).status_code == 200
        assert len(seen) <= 10, (address, seen)


class TestNames:
    def save(self, client, **values):
        data = {"csrf_token": client.get("/api/csrf").json["token"]} | values
        return client.post("/detail/id-of-nas/names", data=data)

    def test_alias_and_note_are_stored_and_the_address_is_unchanged(self, admin, post):
        post()
        admin.send("PATCH", "/api/servers/id-of-nas", json={"server_url": "http://192.0.2.4:8200"})
        assert 'name="alias"' in admin.get("/detail/id-of-nas/names").text
        assert self.save(admin, alias="Attic", note="under the roof").status_code == 303
        text = admin.get("/detail/id-of-nas").text
        for part in ("Attic", "under the roof", "http://192.0.2.4:8200"):
            assert part in text

    def test_an_alias_that_is_too_long_is_rejected_and_kept_in_the_field(self, admin, post):
        post()
        answer = self.save(admin, alias="a" * 300)
        assert answer.status_code == 400
        assert "too long" in answer.text
        assert "a" * 300 in answer.text
