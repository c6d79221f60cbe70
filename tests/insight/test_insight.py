"""The newest runs that are stored with a job, unusual figures, and the trend of its destination."""

from datetime import timedelta

import pytest
from factories import BEGAN_AT, find_job, make_run

from app.backups import job_stats, run_lists
from app.core.db.orm import writing
from app.reports.outcomes import MAX_RUNS, unpack_runs
from app.reports.parser import Figure

DAY = timedelta(days=1)
GIB = 1024**3


@pytest.fixture
def settings(settings_of_each_database):
    """Every test here runs on SQLite and on PostgreSQL."""
    return settings_of_each_database


def days_of_runs(*days: int, **changes) -> None:
    for day in days:
        make_run(began_at=BEGAN_AT + day * DAY, examined_files=day, uploaded_bytes=GIB, **changes)


def test_the_newest_runs_are_kept_with_their_job_in_order(db):
    days_of_runs(*range(MAX_RUNS + 4))
    kept = unpack_runs(find_job().recent_runs)
    assert [run.examined_files for run in kept] == list(range(4, MAX_RUNS + 4))
    assert kept[-1].began_at == BEGAN_AT + (MAX_RUNS + 3) * DAY


def test_a_late_report_is_inserted_in_order(db):
    days_of_runs(0, 2, 1)
    assert [run.examined_files for run in unpack_runs(find_job().recent_runs)] == [0, 1, 2]


def test_modified_and_deleted_files_are_kept_with_missing_figures(db):
    make_run(modified_files=3, deleted_files=4, not_told=Figure.FILES)
    [run] = unpack_runs(find_job().recent_runs)
    assert (run.modified_files, run.deleted_files, run.not_told) == (3, 4, Figure.FILES)


def test_an_encrypted_share_is_unusual(db):
    days_of_runs(*range(12))
    make_run(began_at=BEGAN_AT + 12 * DAY, examined_files=1000, modified_files=800, uploaded_bytes=GIB)
    assert "modified" in [anomaly["figure"] for anomaly in find_job().anomalies]


def test_recalculated_results_equal_stored_ones(db):
    days_of_runs(*range(12))
    make_run(began_at=BEGAN_AT + 12 * DAY, uploaded_bytes=90 * GIB)
    kept = find_job()
    before = (kept.recent_runs, kept.anomalies, kept.recent_statuses)
    assert kept.anomalies
    with writing() as session:
        job_stats.recompute(session, find_job())
    after = find_job()
    assert (after.recent_runs, after.anomalies, after.recent_statuses) == before


def test_the_trend_is_known_after_a_month(db):
    for day in range(0, 36):
        make_run(began_at=BEGAN_AT + day * DAY, storage_bytes=(100 + 2 * day) * GIB)
        if day == 14:
            assert find_job().growth_bytes is None
    assert find_job().growth_bytes == pytest.approx(2 * GIB)


def test_days_count_successful_jobs(db):
    days_of_runs(0, 1)
    make_run(job_name="mail", began_at=BEGAN_AT + DAY, status="Error")
    make_run(job_name="mail", began_at=BEGAN_AT + DAY + timedelta(hours=1))
    make_run(server_id="machine-2", began_at=BEGAN_AT + DAY, status="Warning")
    first, last = BEGAN_AT.date(), (BEGAN_AT + 3 * DAY).date()
    days = run_lists.day_states(first, last, visible_server_ids=None)
    assert list(days) == [first, first + DAY]
    busy = days[first + DAY]
    assert (busy.run_count, busy.job_count, busy.warned_count, busy.failed_count) == (4, 3, 1, 1)
    of_job = run_lists.day_states(first, last, server_id="machine-1", job_name="photos", visible_server_ids=None)
    assert [(day.run_count, day.failed_count) for day in of_job.values()] == [(1, 0), (1, 0)]
    assert run_lists.day_states(first, last, visible_server_ids=frozenset()) == {}
