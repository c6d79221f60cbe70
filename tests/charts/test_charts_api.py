"""Chart data over HTTP."""

from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from urllib.parse import quote

import pytest
from factories import BEGAN_AT, make_run

from app.plugin import ChartProvider

DAY, HOUR, MILLISECOND = timedelta(days=1), timedelta(hours=1), timedelta(milliseconds=1)
FIGURES = {
    "uploaded_bytes": 1,
    "examined_files": 2,
    "examined_bytes": 3,
    "storage_bytes": 4,
    "version_count": 5,
    "duration_s": 130.5,
}


class Broken(ChartProvider):
    """A plugin that fails."""

    name, label, unit, combine = "broken", "Broken", "count", "sum"

    def value(self, run):
        raise RuntimeError("no")


class Speed(ChartProvider):
    """A plugin that computes, and leaves a gap for a run without files."""

    name, label, unit, combine = "speed", "Speed", "ratio", "mean"

    def value(self, run):
        return run.examined_files / 10 if run.examined_files else None


class Stored(Speed):
    """A plugin that shows the last value of a day."""

    name, label, combine = "stored", "Stored", "last"


class Most(Speed):
    """A plugin that shows the greatest value of a day."""

    name, label, combine = "most", "Most", "max"


@pytest.fixture
def registry(registry):
    """With plugins."""
    guests = {provider.name: provider for provider in (Broken, Speed, Stored, Most)}
    return replace(registry, chart_providers=MappingProxyType({**registry.chart_providers, **guests}))


@pytest.fixture
def get(admin, db):
    """Read a chart as an administrator; return status and body."""

    def get(path: str, **query):
        answer = admin.get(f"/api/chart-data/{path}", query_string=query)
        return answer.status_code, answer.get_json()

    return get


def dates(points) -> list[str]:
    return [point["date"] for point in points]


def test_all_servers_have_a_point_for_each_run(get):
    make_run(**FIGURES)
    make_run(server_id="machine-2", began_at=BEGAN_AT - HOUR)
    status, points = get("aggregated")
    assert (status, len(points)) == (200, 2)
    assert points[1] == {
        "date": "04/05/2031",
        "isoDate": "2031-05-04T11:00:00.000Z",
        "uploadedSize": 1,
        "duration": 2,
        "fileCount": 2,
        "fileSize": 3,
        "storageSize": 4,
        "backupVersions": 5,
    }


def test_day_has_sums_of_minutes_and_the_last_state_of_each_job(get):
    make_run(**FIGURES)
    make_run(**(FIGURES | {"storage_bytes": 40, "version_count": 6}), began_at=BEGAN_AT + HOUR)
    make_run(**FIGURES, job_name="music")
    assert get("server/machine-1")[1] == [
        {
            "date": "2031-05-04",
            "isoDate": "2031-05-04T12:00:00.000Z",
            "uploadedSize": 3,
            "duration": 6.53,
            "fileCount": 6,
            "fileSize": 9,
            "storageSize": 44,
            "backupVersions": 11,
        }
    ]


def test_range_of_all_servers_is_by_day(get):
    make_run(uploaded_bytes=1)
    make_run(server_id="machine-2", uploaded_bytes=2, began_at=BEGAN_AT + HOUR)
    make_run(began_at=BEGAN_AT - 9 * DAY)
    points = get("aggregated", startDate="2031-05-01", endDate="2031-05-31")[1]
    assert [(point["date"], point["uploadedSize"]) for point in points] == [("2031-05-04", 3)]


def test_both_ends_are_included_to_the_millisecond(get):
    for step in range(-1, 4):
        make_run(began_at=BEGAN_AT + step * MILLISECOND, uploaded_bytes=10 ** (step + 1))
    ends = {"startDate": "2031-05-04T11:00:00.000Z", "endDate": "2031-05-04T11:00:00.002Z"}
    for path in ("aggregated", "server/machine-1", "server/machine-1/backup/photos"):
        assert [point["uploadedSize"] for point in get(path, **ends)[1]] == [1110]


def test_end_without_a_time_excludes_its_day(get):
    make_run(began_at=BEGAN_AT - DAY)
    make_run()
    assert dates(get("server/machine-1", startDate="2031-05-01", endDate="2031-05-04")[1]) == ["2031-05-03"]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2031-05-04T13:00:00+02:00", "2031-05-04T13:00:00+02:00"),
        ("2031", "2032"),
        ("2031-05", "2031-06"),
        ("2031-05-04T11:00", "2031-05-04T11:00:00.9999999Z"),
    ],
)
def test_dates_may_be_written_as_javascript_reads_them(get, start, end):
    make_run()
    assert len(get("aggregated", startDate=start, endDate=end)[1]) == 1


@pytest.mark.parametrize("query", [{"startDate": "2031-06-01"}, {"endDate": "x"}, {"startDate": "x", "endDate": ""}])
def test_half_a_range_is_ignored(get, query):
    make_run()
    assert dates(get("aggregated", **query)[1]) == ["04/05/2031"]


@pytest.mark.parametrize("path", ["aggregated", "server/machine-1", "server/machine-1/backup/photos"])
def test_invalid_dates_are_rejected(get, path):
    status, body = get(path, startDate="yesterday", endDate="today")
    assert (status, body["error"]) == (400, "Invalid date parameters")


def test_range_that_ends_before_it_begins_is_empty(get):
    make_run()
    assert get("aggregated", startDate="2031-06-01", endDate="2031-05-01") == (200, [])


@pytest.mark.parametrize("path", ["server/nobody", "server/machine-1/backup/nope", "server/nobody/backup/photos"])
def test_unknown_names_return_an_empty_list(get, path):
    make_run()
    assert get(path) == (200, [])


@pytest.mark.parametrize(
    "name", ["a/b", "a//b", "Data/", "/lead", "100%41", "ä:ö ü", "a%2Fb", "..", "a?b#c", "x\\y", "Sites & Mail"]
)
def test_names_are_decoded_once(get, name):
    make_run(job_name=name)
    make_run(job_name="other")
    assert len(get(f"server/machine-1/backup/{quote(name, safe='')}")[1]) == 1


def test_newest_two_thousand_runs_unless_all_are_requested(get, monkeypatch):
    monkeypatch.setattr("app.charts.series.RUN_POINTS", 2)
    for hour in range(4):
        make_run(began_at=BEGAN_AT + hour * HOUR, uploaded_bytes=hour)
    assert [point["uploadedSize"] for point in get("aggregated")[1]] == [2, 3]
    assert [point["uploadedSize"] for point in get("aggregated", all="true")[1]] == [0, 1, 2, 3]


def test_all_of_nothing_is_an_empty_list(get):
    assert get("aggregated", all="true") == (200, [])


def test_new_run_is_returned_at_once(get):
    make_run()
    assert len(get("aggregated")[1]) == 1
    make_run(began_at=BEGAN_AT + HOUR)
    assert len(get("aggregated")[1]) == 2


class TestSeries:
    def test_plugin_series_are_left_out_unless_requested(self, get):
        make_run()
        assert "speed" not in get("aggregated")[1][0] | get("server/machine-1")[1][0]

    @pytest.mark.parametrize("query", [{}, {"all": "true"}])
    def test_plugin_series_is_added_to_each_run(self, get, query):
        make_run(examined_files=20)
        assert get("aggregated", series="speed", **query)[1][0]["speed"] == 2

    def test_plugin_series_are_combined_for_the_day_by_their_rule(self, get):
        make_run(examined_files=20, began_at=BEGAN_AT)
        make_run(examined_files=10, began_at=BEGAN_AT + HOUR)
        make_run(examined_files=5, job_name="music")
        point = get("server/machine-1", series="speed,stored,most")[1][0]
        assert (point["speed"], point["stored"], point["most"]) == (1.0, 1.5, 2.0)

    def test_partial_day_of_the_range_counts_its_runs_only(self, get):
        make_run(examined_files=20, began_at=BEGAN_AT)
        make_run(examined_files=10, began_at=BEGAN_AT + HOUR)
        ends = {"startDate": "2031-05-04T11:30:00Z", "endDate": "2031-05-05T00:00:00Z"}
        assert get("aggregated", series="most", **ends)[1][0]["most"] == 1

    def test_plugin_series_of_one_job_has_no_other_job(self, get):
        make_run(examined_files=20)
        make_run(examined_files=90, job_name="music")
        assert get("server/machine-1/backup/photos", series="most")[1][0]["most"] == 2

    def test_gap_is_null(self, get):
        make_run(examined_files=0)
        assert get("server/machine-1", series="speed")[1][0]["speed"] is None

    def test_failing_plugin_leaves_a_gap(self, get):
        make_run(examined_files=20)
        point = get("server/machine-1", series="broken,speed")[1][0]
        assert (point["broken"], point["speed"], point["fileCount"]) == (None, 2, 20)

    def test_built_in_series_changes_nothing(self, get):
        make_run(**FIGURES)
        assert get("server/machine-1", series="duration") == get("server/machine-1")

    @pytest.mark.parametrize("path", ["aggregated", "server/machine-1"])
    def test_unknown_series_is_named(self, get, path):
        status, body = get(path, series="nope")
        assert (status, "nope" in body["error"]) == (400, True)
