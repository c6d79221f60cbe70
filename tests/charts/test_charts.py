"""Figures over time, compared with sums of the test, on both databases."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from types import MappingProxyType

import pytest
from factories import BEGAN_AT, make_run

from app import runtime
from app.charts import series as charts_series
from app.plugin import ChartProvider

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
TODAY = BEGAN_AT.date()
BUILT_IN = ("uploadedSize", "duration", "fileCount", "fileSize", "storageSize", "backupVersions")


class Warnings(ChartProvider):
    """Computed for each run; a run without files leaves a gap."""

    name, label, unit, combine = "warnings", "Warnings", "count", "max"

    def value(self, run):
        return run.warning_count if run.examined_files else None


class Ratio(ChartProvider):
    """A mean of computed values."""

    name, label, unit, combine = "ratio", "Ratio", "ratio", "mean"

    def value(self, run):
        return run.uploaded_bytes / 10


class Newest(ChartProvider):
    """Computed, and carried forward; a run without files has no value."""

    name, label, unit, combine = "newest", "Newest", "count", "last"

    def value(self, run):
        return run.warning_count if run.examined_files else None


class Broken(ChartProvider):
    """Fails at each run."""

    name, label, unit, combine = "broken", "Broken", "count", "sum"

    def value(self, run):
        return 1 / 0


@pytest.fixture
def settings(settings_of_each_database):
    """Every test here runs on SQLite and on PostgreSQL."""
    return settings_of_each_database


@pytest.fixture
def registry(registry):
    """With two plugins that compute."""
    guests = {guest.name: guest for guest in (Warnings, Ratio, Newest, Broken)}
    return replace(registry, chart_providers=MappingProxyType({**registry.chart_providers, **guests}))


def series(name: str, *, start_on: date = TODAY, end_on: date = TODAY, **scope) -> list[float | None]:
    scope = {"visible_server_ids": None, **scope}
    return charts_series.daily_series([name], start_on=start_on, end_on=end_on, **scope).values[name]


@pytest.fixture
def scattered(app, db, shared_applications):
    """Store forty runs of three jobs on two servers within ten days, in random order; return them as dictionaries."""
    return shared_applications.fill_once(app, "scattered", store_scattered)


def store_scattered() -> list[dict]:
    rng = Random(7)
    hours = rng.sample(range(-120, 120), 40)
    rows = [
        {
            "server_id": f"m-{number % 2}",
            "job_name": f"job {number % 3}",
            "began_at": BEGAN_AT + hour * HOUR,
            "uploaded_bytes": rng.randrange(10**6),
            "duration_s": rng.randrange(10**4) / 4,
            "examined_files": rng.randrange(1000),
            "examined_bytes": rng.randrange(10**9),
            "storage_bytes": rng.randrange(10**12),
            "version_count": rng.randrange(30),
        }
        for number, hour in enumerate(hours)
    ]
    for row in rows:
        make_run(**row)
    return rows


def summed(rows: list[dict], start_at: datetime, end_at: datetime) -> dict[date, dict]:
    """Return the expected values of each day: sums of all runs, storage and versions of the last run of each job."""
    days: dict[date, dict] = defaultdict(lambda: defaultdict(int))
    last: dict[tuple, dict] = {}
    for row in sorted(rows, key=lambda row: row["began_at"]):
        if start_at <= row["began_at"] <= end_at:
            day = row["began_at"].date()
            for figure in ("uploaded_bytes", "duration_s", "examined_files", "examined_bytes"):
                days[day][figure] += row[figure]
            days[day]["last_began_at"] = row["began_at"]
            last[day, row["server_id"], row["job_name"]] = row
    for (day, *_), row in last.items():
        days[day]["storage_bytes"] += row["storage_bytes"]
        days[day]["version_count"] += row["version_count"]
    return days


def assert_points(points: list[charts_series.DayPoint], days: dict[date, dict]) -> None:
    assert [point.day for point in points] == sorted(days)
    for point in points:
        assert {figure: getattr(point, figure) for figure in days[point.day]} == days[point.day]


class TestDailyPoints:
    def test_all_days_are_sums_of_their_runs(self, scattered):
        everything = summed(scattered, BEGAN_AT - 99 * DAY, BEGAN_AT + 99 * DAY)
        assert_points(charts_series.daily_points(visible_server_ids=None), everything)

    @pytest.mark.parametrize(
        ("start_at", "end_at"),
        [
            (BEGAN_AT - 3 * DAY, BEGAN_AT + 2 * DAY),
            (BEGAN_AT - 2 * HOUR, BEGAN_AT + 2 * HOUR),
            (BEGAN_AT.replace(hour=0), BEGAN_AT.replace(hour=0) + DAY - timedelta(milliseconds=1)),
            (BEGAN_AT.replace(hour=0), BEGAN_AT.replace(hour=0) + DAY),
            (BEGAN_AT - 99 * DAY, BEGAN_AT),
        ],
        ids=["cut at both ends", "within a day", "a whole day", "a day and a moment", "from long ago"],
    )
    def test_range_includes_both_ends(self, scattered, start_at, end_at):
        points = charts_series.daily_points(start_at=start_at, end_at=end_at, visible_server_ids=None)
        assert_points(points, summed(scattered, start_at, end_at))

    @pytest.mark.parametrize("by", [timedelta(0), timedelta(milliseconds=-1), timedelta(milliseconds=1)])
    def test_run_at_either_end_of_a_range_is_included(self, db, by):
        make_run(uploaded_bytes=5)
        found = charts_series.daily_points(start_at=BEGAN_AT + by, end_at=BEGAN_AT + by + HOUR, visible_server_ids=None)
        assert len(found) == (0 if by > timedelta(0) else 1)
        found = charts_series.daily_points(start_at=BEGAN_AT - HOUR, end_at=BEGAN_AT + by, visible_server_ids=None)
        assert len(found) == (0 if by < timedelta(0) else 1)

    def test_range_that_ends_before_it_begins_is_empty(self, scattered):
        assert charts_series.daily_points(start_at=BEGAN_AT, end_at=BEGAN_AT - HOUR, visible_server_ids=None) == []

    def test_one_server_and_one_job(self, scattered):
        of_server = [row for row in scattered if row["server_id"] == "m-1"]
        of_job = [row for row in of_server if row["job_name"] == "job 1"]
        begin, end = BEGAN_AT - 99 * DAY, BEGAN_AT + 99 * DAY
        assert_points(charts_series.daily_points("m-1", visible_server_ids=None), summed(of_server, begin, end))
        assert_points(charts_series.daily_points("m-1", "job 1", visible_server_ids=None), summed(of_job, begin, end))

    def test_hidden_servers_are_left_out(self, scattered):
        of_server = [row for row in scattered if row["server_id"] == "m-0"]
        points = charts_series.daily_points(visible_server_ids=frozenset({"m-0"}))
        assert_points(points, summed(of_server, BEGAN_AT - 99 * DAY, BEGAN_AT + 99 * DAY))


class TestRunPoints:
    def test_newest_runs_are_returned_oldest_first(self, db):
        for number in (2, 0, 1):
            make_run(began_at=BEGAN_AT + number * HOUR)
        assert [row.began_at.hour for row in charts_series.run_points(limit=2, visible_server_ids=None)] == [12, 13]

    def test_no_limit_returns_all(self, scattered):
        assert len(charts_series.run_points(limit=None, visible_server_ids=None)) == 40

    def test_only_visible_servers(self, scattered):
        assert len(charts_series.run_points("m-1", visible_server_ids=frozenset({"m-0"}))) == 0
        assert len(charts_series.run_points(visible_server_ids=frozenset({"m-0"}))) == 20


class TestSeries:
    @pytest.mark.parametrize("name", BUILT_IN)
    def test_every_built_in_provider_has_a_value_for_a_day_with_a_run(self, db, name):
        make_run(uploaded_bytes=3, examined_files=3, examined_bytes=3, storage_bytes=3, version_count=3, duration_s=3.0)
        assert series(name) == [3]

    def test_every_day_of_the_range_has_a_position(self, db):
        make_run(uploaded_bytes=3)
        found = charts_series.daily_series(
            ["uploadedSize"], start_on=TODAY - DAY, end_on=TODAY + DAY, visible_server_ids=None
        )
        assert found.days == [TODAY - DAY, TODAY, TODAY + DAY]
        assert found.values["uploadedSize"] == [None, 3, None]

    def test_last_values_of_all_jobs_are_carried_forward(self, db):
        make_run(job_name="a", storage_bytes=10)
        make_run(job_name="b", storage_bytes=1, began_at=BEGAN_AT + DAY)
        make_run(job_name="a", storage_bytes=20, began_at=BEGAN_AT + 3 * DAY)
        assert series("storageSize", start_on=TODAY - DAY, end_on=TODAY + 4 * DAY) == [None, 10, 11, 11, 21, 21]

    def test_last_values_from_before_the_range_count(self, db):
        make_run(job_name="a", storage_bytes=5, began_at=BEGAN_AT - 40 * DAY)
        make_run(job_name="a", storage_bytes=10, began_at=BEGAN_AT - 30 * DAY)
        assert series("storageSize") == [10]

    def test_computed_last_values_from_before_the_range_count_too(self, db):
        make_run(job_name="a", warning_count=3, examined_files=1, began_at=BEGAN_AT - 40 * DAY)
        make_run(job_name="a", warning_count=5, examined_files=1, began_at=BEGAN_AT - 30 * DAY)
        make_run(job_name="b", warning_count=2, examined_files=1, began_at=BEGAN_AT - 30 * DAY)
        make_run(job_name="b", warning_count=1, examined_files=1, began_at=BEGAN_AT)
        make_run(job_name="c", warning_count=9, examined_files=0, began_at=BEGAN_AT - 30 * DAY)
        assert series("newest", start_on=TODAY - DAY, end_on=TODAY) == [7, 6]
        assert series("newest", start_on=TODAY - DAY, job_name="b") == [2, 1]

    def test_failing_plugin_leaves_gaps(self, db):
        make_run()
        assert series("broken") == [None]

    def test_groups_of_jobs_have_their_own_series(self, db):
        names, days = ["uploadedSize", "storageSize", "ratio"], {"start_on": TODAY, "end_on": TODAY + DAY}
        jobs = {}
        for number, name in enumerate("abcd", start=1):
            jobs[name] = make_run(job_name=name, uploaded_bytes=number, storage_bytes=10 * number).job_id
        groups = {jobs["a"]: "first", jobs["b"]: "first", jobs["c"]: "second"}
        found = charts_series.grouped_series(names, groups, **days, visible_server_ids=None)
        assert found["uploadedSize"] == {"first": [3, None], "second": [3, None]}
        assert found["storageSize"] == {"first": [30, 30], "second": [30, 30]}
        assert found["ratio"]["first"][0] == pytest.approx(0.15)

    def test_computed_values_are_combined_by_their_own_rule(self, db):
        make_run(warning_count=2, examined_files=1, uploaded_bytes=10)
        make_run(warning_count=7, examined_files=1, uploaded_bytes=30, began_at=BEGAN_AT + HOUR)
        make_run(job_name="b", warning_count=9, examined_files=0, uploaded_bytes=60)
        assert series("warnings") == [7]
        assert series("ratio") == [4.0]  # the mean of job b's 6 and photos' 2

    def test_computed_run_without_a_value_leaves_a_gap(self, db):
        make_run(examined_files=0)
        assert series("warnings") == [None]

    def test_runs_of_one_day_at_both_its_ends_are_counted(self, db):
        midnight = datetime(2031, 5, 4, tzinfo=UTC)
        for began_at in (midnight - timedelta(milliseconds=1), midnight, midnight + DAY - timedelta(milliseconds=1)):
            make_run(began_at=began_at, uploaded_bytes=10)
        make_run(began_at=midnight + DAY, uploaded_bytes=10)
        assert series("uploadedSize") == [20]
        assert series("ratio", start_on=TODAY - DAY, end_on=TODAY + DAY) == [1.0, 1.0, 1.0]

    def test_scope_applies_to_stored_computed_and_carried_values(self, db):
        for server_id in ("m-1", "m-2"):
            make_run(server_id=server_id, uploaded_bytes=10, storage_bytes=1, warning_count=1, examined_files=1)
            make_run(server_id=server_id, job_name="b", uploaded_bytes=30, storage_bytes=3)
        assert series("uploadedSize", server_id="m-1") == [40]
        assert series("uploadedSize", server_id="m-1", job_name="b") == [30]
        assert series("uploadedSize", job_name="b") == [60]
        assert series("ratio", server_id="m-1", job_name="b") == [3.0]
        later = {"start_on": TODAY + DAY, "end_on": TODAY + DAY}
        assert series("storageSize", server_id="m-2", **later) == [4]
        assert series("storageSize", visible_server_ids=frozenset({"m-2"}), **later) == [4]

    @pytest.mark.parametrize("name", ["uploadedSize", "storageSize", "weekendUploads", "warnings", "ratio", "newest"])
    @pytest.mark.parametrize("length", [30, 91], ids=["by the index of days", "all days in their order"])
    def test_a_period_has_the_values_of_its_days(self, scattered, name, length):
        begin = TODAY - length // 2 * DAY
        asked = {"start_on": begin, "end_on": begin + (length - 1) * DAY}
        combine = runtime.registry().chart_providers[name].combine
        daily = charts_series.daily_series([name], **asked, visible_server_ids=None).values[name]
        spans = charts_series.daily_series([name], span_days=7, **asked, visible_server_ids=None)
        known = [[value for value in daily[at : at + 7] if value is not None] for at in range(0, length, 7)]
        expected = [charts_series.COMBINE[combine](values) if values else None for values in known]
        assert spans.values[name] == [value if value is None else pytest.approx(value) for value in expected]
        assert spans.days == [begin + at * DAY for at in range(0, length, 7)]

    def test_unknown_provider_is_a_key_error(self, db):
        with pytest.raises(KeyError):
            series("nothing")


def test_durations_of_all_runs_add_up(db):
    make_run(duration_s=10.0)
    make_run(duration_s=20.0, began_at=BEGAN_AT + 9 * DAY)
    make_run(duration_s=5.0, job_name="other")
    assert charts_series.total_duration_s("machine-1") == 35
    assert charts_series.total_duration_s("machine-1", "photos") == 30
    assert charts_series.total_duration_s("nobody") == 0


@pytest.mark.parametrize(
    ("combine", "expected"),
    [("sum", [3, None, 5]), ("last", [2, None, 5]), ("max", [2, None, 5]), ("mean", [1.5, None, 5])],
)
def test_days_are_aggregated_by_the_rule_of_the_provider(combine, expected):
    assert charts_series.into_spans([1, 2, None, None, None, 5], 2, combine) == expected
