"""The figures stored with each job equal the sums of its runs, in any order of arrival."""

from collections import defaultdict
from datetime import timedelta
from itertools import count

import pytest
from factories import BEGAN_AT, find_job, make_run
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from sqlalchemy import delete, select
from trials import trial

from app.backups import job_stats
from app.backups.models import Job, JobDay, Run
from app.core.db.orm import writing
from app.core.instants import iso
from app.reports.outcomes import UNSAVED, Outcome, severity_of
from app.reports.parser import NO_FIGURES, Figure

pytestmark = pytest.mark.slow

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
STATUSES = ("Success", "Warning", "Error", "Fatal", "Unknown", "Odd")
COLUMNS = [column.name for column in Job.__table__.columns]
job_names = (f"job {number}" for number in count())

runs = st.lists(
    st.fixed_dictionaries(
        {
            "hours": st.integers(-60, 60),
            "status": st.sampled_from(STATUSES),
            "uploaded_bytes": st.integers(0, 2**50),
            "storage_bytes": st.integers(0, 2**50),
            "examined_files": st.integers(0, 10**6),
            "examined_bytes": st.integers(0, 2**50),
            "version_count": st.integers(0, 400),
            "duration_s": st.integers(0, 10**6).map(lambda eighths: eighths / 8),
            "duplicati_id": st.sampled_from(("DB-1", "DB-2")),
        }
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda run: run["hours"],
)


@pytest.fixture
def settings(settings_of_each_database):
    """Every test here runs on SQLite and on PostgreSQL."""
    return settings_of_each_database


# The same runs, some of which have missing figures, saved nothing, or list their versions.
runs_of_every_kind = st.tuples(
    runs,
    st.lists(
        st.fixed_dictionaries(
            {
                "not_told": st.integers(0, NO_FIGURES),
                "outcome": st.sampled_from(list(Outcome)),
                "versions": st.lists(st.integers(-70, -1), max_size=3),
                "has_saved": st.booleans(),
                "quota_total_bytes": st.none() | st.integers(1, 9),
            }
        ),
        min_size=8,
        max_size=8,
    ),
)


def with_kinds(drawn: tuple[list[dict], list[dict]]) -> list[dict]:
    rows = []
    for row, kind in zip(*drawn, strict=False):
        began_at = BEGAN_AT + row["hours"] * HOUR
        versions = {iso(BEGAN_AT + hours * HOUR) for hours in kind.pop("versions")}
        version_at = began_at if kind.pop("has_saved") and kind["outcome"] not in UNSAVED else None
        lists = {} if kind["not_told"] & Figure.VERSION_LIST else {"available_versions": tuple(sorted(versions))[::-1]}
        zeros = {name: 0 for figure, name in ZEROS.items() if kind["not_told"] & figure}
        small = {"version_count": row["version_count"] % 4}  # so that counts and lists sometimes agree
        rows.append({**row, **small, **kind, "version_at": version_at, **lists, **zeros})
    return rows


def store(job_name: str, rows: list[dict]) -> None:
    for row in rows:
        values = {name: value for name, value in row.items() if name != "hours"}
        make_run(job_name=job_name, began_at=BEGAN_AT + row["hours"] * HOUR, **values)


def stored_days(db, job_id: int) -> dict[int, dict]:
    rows = db.session.execute(select(*JobDay.__table__.columns).where(JobDay.job_id == job_id))
    return {row.day: row._asdict() for row in rows}


def kept(job: Job) -> dict:
    return {name: getattr(job, name) for name in COLUMNS}


# The database is fresh for each test only; each example has its own job in it.
ZEROS = {Figure.STORAGE: "storage_bytes", Figure.VERSION_COUNT: "version_count", Figure.FILES: "examined_files"}
several = trial(25, suppress_health_check=list(HealthCheck))


def compare_with_a_recount(db, rows: list[dict]) -> None:
    name = next(job_names)
    store(name, rows)
    job = find_job(name=name)
    before, days_before = kept(job), stored_days(db, job.id)
    with writing() as session:
        job_stats.recompute(session, job)
    job = find_job(name=name)
    assert kept(job) == before
    assert stored_days(db, job.id) == days_before


@several
@given(rows=runs)
def test_figures_equal_a_recount(db, rows):
    compare_with_a_recount(db, rows)


@several
@given(drawn=runs_of_every_kind)
def test_figures_of_runs_of_every_kind_equal_a_recount(db, drawn):
    compare_with_a_recount(db, with_kinds(drawn))


@several
@given(drawn=runs_of_every_kind)
def test_missing_figures_are_those_of_the_newest_run_that_has_them(db, drawn):
    name, rows = next(job_names), with_kinds(drawn)
    store(name, rows)
    job = find_job(name=name)
    ordered = sorted(rows, key=lambda row: row["hours"])
    for figure, column in ZEROS.items():
        known = [row[column] for row in ordered if not row["not_told"] & figure]
        assert getattr(job, f"last_{column}") == (known[-1] if known else 0)
    deciding = [row for row in ordered if row["outcome"] not in UNSAVED]
    assert job.state_status == (deciding[-1]["status"] if deciding else None)


@several
@given(drawn=runs_of_every_kind, gone=st.sets(st.integers(0, 7)))
def test_figures_after_deletion_of_runs_equal_a_recount(db, drawn, gone):
    name, rows = next(job_names), with_kinds(drawn)
    store(name, rows)
    job_id = find_job(name=name).id
    wanted = select(Run.row_id, Run.began_at, Run.uploaded_bytes).where(Run.job_id == job_id).order_by(Run.began_at)
    removed = [row for place, row in enumerate(db.session.execute(wanted).all()) if place in gone]
    with writing() as session:
        session.execute(delete(Run).where(Run.row_id.in_([row.row_id for row in removed])))
        job_stats.subtract_runs(session, session.get_one(Job, job_id), removed)
    before, days_before = kept(find_job(name=name)), stored_days(db, job_id)
    with writing() as session:
        job_stats.recompute(session, session.get_one(Job, job_id))
    after = kept(find_job(name=name))
    assert {**after, "growth_bytes": None} == {**before, "growth_bytes": None}
    assert stored_days(db, job_id) == days_before


@several
@given(rows=runs)
def test_figures_equal_plain_sums(db, rows):
    name = next(job_names)
    store(name, rows)
    job = find_job(name=name)
    newest = max(rows, key=lambda row: row["hours"])
    assert job.run_count == len(rows)
    assert job.total_uploaded_bytes == sum(row["uploaded_bytes"] for row in rows)
    assert job.last_began_at == BEGAN_AT + newest["hours"] * HOUR
    for figure in ("status", "uploaded_bytes", "storage_bytes", "examined_files", "version_count", "duration_s"):
        assert getattr(job, f"last_{figure}") == newest[figure]
    assert job.duplicati_id == newest["duplicati_id"]
    letters = {"Success": "S", "Warning": "W", "Error": "E", "Fatal": "F"}
    ordered = sorted(rows, key=lambda row: row["hours"])
    assert job.recent_statuses == "".join(letters.get(row["status"], "U") for row in ordered)


@several
@given(rows=runs)
def test_days_equal_plain_sums(db, rows):
    name = next(job_names)
    store(name, rows)
    by_day = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["hours"]):
        by_day[int((BEGAN_AT + row["hours"] * HOUR).timestamp()) // 86_400].append(row)
    days = stored_days(db, find_job(name=name).id)
    assert set(days) == set(by_day)
    for day, of_day in by_day.items():
        assert days[day]["run_count"] == len(of_day)
        assert days[day]["success_count"] == sum(row["status"] == "Success" for row in of_day)
        for figure in ("uploaded_bytes", "duration_s", "examined_files", "examined_bytes"):
            assert days[day][figure] == sum(row[figure] for row in of_day)
        assert days[day]["last_storage_bytes"] == of_day[-1]["storage_bytes"]
        assert days[day]["last_version_count"] == of_day[-1]["version_count"]
        assert days[day]["worst_status"] == max(severity_of(row["status"]) for row in of_day)


def test_heartbeat_bar_keeps_the_newest_hundred(db):
    for number in range(103):
        make_run(began_at=BEGAN_AT + number * HOUR, status="Error" if number < 3 else "Success")
    assert find_job().recent_statuses == "S" * 100


def test_run_older_than_a_full_heartbeat_bar_is_left_out(db):
    for number in range(100):
        make_run(began_at=BEGAN_AT + number * HOUR)
    make_run(began_at=BEGAN_AT - HOUR, status="Error")
    job = find_job()
    assert (job.recent_statuses, job.run_count) == ("S" * 100, 101)


def test_late_report_is_inserted_in_order(db):
    make_run(status="Success")
    make_run(status="Fatal", began_at=BEGAN_AT + 2 * HOUR)
    make_run(status="Warning", began_at=BEGAN_AT + HOUR)
    job = find_job()
    assert (job.recent_statuses, job.last_status) == ("SWF", "Fatal")


def test_days_end_at_midnight_utc(db):
    midnight = BEGAN_AT.replace(hour=0) + DAY
    make_run(began_at=midnight - timedelta(milliseconds=1))
    make_run(began_at=midnight)
    days = stored_days(db, find_job().id)
    assert sorted(row["run_count"] for row in days.values()) == [1, 1]


def test_recount_of_a_job_without_runs_is_empty(db):
    make_run(uploaded_bytes=9, status="Error")
    job = find_job()
    with writing() as session:
        session.query(Run).delete()
        job_stats.recompute(session, job)
    job = find_job()
    assert (job.run_count, job.total_uploaded_bytes, job.recent_statuses) == (0, 0, "")
    assert (job.last_run_id, job.last_began_at, job.last_status, job.last_storage_bytes) == (None, None, None, 0)
    assert stored_days(db, job.id) == {}


def test_wrong_figures_are_corrected_by_a_recount(db):
    make_run(uploaded_bytes=9)
    with writing() as session:
        job = session.scalars(select(Job)).one()
        job.run_count, job.total_uploaded_bytes, job.recent_statuses, job.last_status = 77, 1, "EEE", "Fatal"
        session.query(JobDay).delete()
    with writing() as session:
        job_stats.recompute(session, job)
    job = find_job()
    assert (job.run_count, job.total_uploaded_bytes, job.recent_statuses, job.last_status) == (1, 9, "S", "Success")
    assert [row["uploaded_bytes"] for row in stored_days(db, job.id).values()] == [9]
