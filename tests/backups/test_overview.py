"""Reading servers, jobs and runs, on both databases."""

from datetime import timedelta

import pytest
from factories import BEGAN_AT, make_run
from sqlalchemy import func, select
from statements import sent_statements

from app.audit.log import SYSTEM
from app.backups import overview as backups_overview
from app.backups.models import Job, Run, Server
from app.core.db.orm import writing
from app.core.errors import Refused
from app.schedules import overdue_check

DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)
NOW = BEGAN_AT + 2 * HOUR


@pytest.fixture
def settings(settings_of_each_database):
    """Every test here runs on SQLite and on PostgreSQL."""
    return settings_of_each_database


@pytest.fixture
def two_servers(db):
    """Two servers: one with two jobs of two runs, the other with a single run."""
    make_run(server_id="m-1", server_name="nas", job_name="a", uploaded_bytes=1, storage_bytes=10, examined_bytes=100)
    make_run(
        server_id="m-1", job_name="a", began_at=BEGAN_AT + HOUR, uploaded_bytes=2, storage_bytes=20, examined_bytes=200
    )
    make_run(server_id="m-1", job_name="b", uploaded_bytes=4, storage_bytes=40, examined_bytes=400, status="Warning")
    make_run(server_id="m-1", job_name="b", began_at=BEGAN_AT - HOUR, uploaded_bytes=8, storage_bytes=80)
    make_run(server_id="m-2", server_name="attic", uploaded_bytes=16, storage_bytes=160, examined_bytes=1600)


def statements(call) -> int:
    """Return how many statements a call sends to the database."""
    with sent_statements() as seen:
        call()
    return len(seen)


@pytest.mark.usefixtures("two_servers")
class TestSummary:
    def test_runs_jobs_and_servers_are_counted(self):
        summary = backups_overview.overview(NOW, None).summary
        assert (summary.server_count, summary.job_count, summary.run_count) == (2, 3, 5)

    def test_uploads_of_all_runs_are_summed(self, db):
        assert (
            backups_overview.overview(NOW, None).summary.uploaded_bytes
            == 31
            == db.session.scalar(func.sum(Run.uploaded_bytes))
        )

    def test_storage_and_size_are_of_the_newest_run_of_each_job(self):
        summary = backups_overview.overview(NOW, None).summary
        assert (summary.storage_bytes, summary.examined_bytes) == (20 + 40 + 160, 200 + 400 + 1600)

    def test_seconds_count_from_the_newest_run(self):
        assert backups_overview.overview(NOW, None).summary.seconds_since_last_backup(NOW) == 3600

    @pytest.mark.parametrize(
        ("moved", "expected"), [(timedelta(milliseconds=1999), 3601), (timedelta(milliseconds=-3600_001), -1)]
    )
    def test_seconds_are_rounded_down(self, moved, expected):
        assert backups_overview.overview(NOW, None).summary.seconds_since_last_backup(NOW + moved) == expected

    def test_hidden_servers_are_not_counted(self):
        summary = backups_overview.overview(NOW, frozenset({"m-2"})).summary
        assert (summary.server_count, summary.run_count, summary.uploaded_bytes) == (1, 1, 16)

    def test_account_without_servers_sees_none(self):
        assert backups_overview.overview(NOW, frozenset()).servers == ()


def test_empty_database_has_zeros(db):
    summary = backups_overview.overview(NOW, None).summary
    assert summary.seconds_since_last_backup(NOW) is None
    assert (summary.server_count, summary.job_count, summary.run_count, summary.storage_bytes) == (0, 0, 0, 0)


def test_server_without_runs_is_counted(db):
    with writing() as session:
        session.add(Server(id="m-9", name="new", created_at=NOW))
    overview = backups_overview.overview(NOW, None)
    assert [server.id for server in overview.servers] == ["m-9"]
    assert (overview.servers[0].last_job, overview.servers[0].status) == (None, "Unknown")


def test_servers_and_jobs_are_ordered_by_the_bytes_of_their_names(db):
    for name in ("b", "B", "ä", "a"):
        make_run(server_id=f"id of {name}", server_name=name)
    for name in ("z", "Z", "é"):
        make_run(server_id="id of a", job_name=name)
    overview = backups_overview.overview(NOW, None)
    assert [server.name for server in overview.servers] == ["B", "a", "b", "ä"]
    assert [job.name for job in overview.servers[1].jobs] == ["Z", "photos", "z", "é"]


class TestOverdue:
    @pytest.mark.parametrize(("late", "is_overdue"), [(timedelta(0), False), (timedelta(milliseconds=1), True)])
    def test_job_is_overdue_after_its_tolerance_and_not_at_its_end(self, db, late, is_overdue):
        make_run()
        [job] = backups_overview.overview(BEGAN_AT + DAY + 2 * HOUR + late, None).jobs
        assert job.is_overdue is is_overdue

    def test_unmonitored_job_is_never_overdue(self, db):
        make_run()
        with writing() as session:
            session.scalars(select(Job)).one().is_overdue_check_enabled = False
        overview = backups_overview.overview(BEGAN_AT + 9 * DAY, None)
        assert (overview.jobs[0].is_overdue, overview.summary.overdue_count) == (False, 0)

    def test_changed_tolerance_applies_at_once(self, db):
        make_run()
        late = BEGAN_AT + DAY + 3 * HOUR
        assert backups_overview.overview(late, None).summary.overdue_count == 1
        overdue_check.save_tolerance("4h", actor=SYSTEM, now=late)
        assert backups_overview.overview(late, None).summary.overdue_count == 0

    def test_overdue_server_counts_as_a_warning(self, db):
        make_run()
        assert backups_overview.overview(NOW, None).servers[0].status == "Success"
        assert backups_overview.overview(NOW + 9 * DAY, None).servers[0].status == "Warning"

    def test_cached_job_becomes_overdue_by_time_alone(self, db):
        make_run()
        deadline_at = BEGAN_AT + DAY + 2 * HOUR
        assert not backups_overview.overview(deadline_at, None).servers[0].is_overdue
        assert backups_overview.overview(deadline_at + SECOND, None).servers[0].is_overdue


def test_unreadable_interval_of_a_job_affects_no_other_job(db):
    make_run(job_name="good")
    make_run(job_name="odd")
    with writing() as session:
        odd = session.scalars(select(Job).where(Job.name == "odd")).one()
        odd.expected_interval, odd.next_expected_at = "soon", None
    good, odd = backups_overview.overview(NOW + 9 * DAY, None).jobs
    assert (good.is_overdue, odd.is_overdue, odd.next_expected_at) == (True, False, None)


def test_overview_needs_as_many_statements_for_forty_jobs_as_for_one(db):
    make_run()
    for_one = statements(lambda: backups_overview.overview(NOW, None))
    for number in range(40):
        make_run(server_id=f"m-{number % 7}", job_name=f"job {number}")
    assert statements(lambda: backups_overview.overview(NOW, None)) == for_one <= 10


class TestRuns:
    def test_runs_of_a_server_are_listed_newest_first(self, db):
        make_run(job_name="a")
        make_run(job_name="b", began_at=BEGAN_AT + HOUR)
        make_run(server_id="other")
        rows = backups_overview.list_runs("machine-1")
        assert [(run.began_at, name) for run, name in rows] == [(BEGAN_AT + HOUR, "b"), (BEGAN_AT, "a")]

    def test_runs_of_one_job_are_listed(self, db):
        make_run(job_name="a")
        make_run(job_name="b")
        assert [name for _, name in backups_overview.list_runs("machine-1", "b")] == ["b"]

    def test_list_is_paged_by_the_begin_of_its_last_run(self, db):
        for number in range(5):
            make_run(began_at=BEGAN_AT + number * HOUR)
        first = backups_overview.list_runs("machine-1", limit=2)
        second = backups_overview.list_runs("machine-1", limit=2, before=first[-1][0].began_at)
        assert [row[0].began_at.hour for row in first + second] == [15, 14, 13, 12]

    def test_run_has_its_neighbours_of_the_same_job(self, db):
        older, middle, newer = (make_run(began_at=BEGAN_AT + number * HOUR).id for number in range(3))
        make_run(job_name="other", began_at=BEGAN_AT + timedelta(minutes=90))
        found = backups_overview.find_run(middle)
        assert (found.previous_id, found.next_id) == (older, newer)
        assert (backups_overview.find_run(older).previous_id, backups_overview.find_run(newer).next_id) == (None, None)

    def test_run_has_its_texts_and_server(self, db):
        run_id = make_run(warnings=("mind the gap",)).id
        found = backups_overview.find_run(run_id)
        assert (found.server.name, found.job_name, list(found.log.warnings)) == ("nas", "photos", ["mind the gap"])

    @pytest.mark.parametrize("run_id", ["00000000-0000-4000-8000-000000000000", "no uuid", ""])
    def test_unknown_run_is_not_found(self, db, run_id):
        with pytest.raises(Refused, check=lambda error: error.status == 404):
            backups_overview.find_run(run_id)

    def test_run_of_another_server_is_not_found(self, db):
        run_id = make_run().id
        with pytest.raises(Refused, check=lambda error: error.status == 404):
            backups_overview.find_run(run_id, "other")


def test_server_is_found_by_its_id_alone(two_servers):
    assert backups_overview.find_server("m-1", NOW, None).name == "nas"
    with pytest.raises(Refused, check=lambda error: error.status == 404):
        backups_overview.find_server("nas", NOW, None)


def test_hidden_server_is_not_found(two_servers):
    with pytest.raises(Refused, check=lambda error: error.status == 404):
        backups_overview.find_server("m-1", NOW, frozenset({"m-2"}))
