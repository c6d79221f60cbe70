"""Runs that saved nothing: they are shown and notified, and change nothing else; on both databases."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from factories import BEGAN_AT, find_job, find_overdue, make_run, report_body
from sqlalchemy import select

from app.audit.log import Actor
from app.backups import job_stats, overview, run_deletion
from app.backups.models import Job, JobDay
from app.core.db.orm import writing
from app.core.instants import iso
from app.notifications import digests
from app.reports.outcomes import BROKEN_OFF
from app.reports.parser import NO_FIGURES, Figure
from app.schedules import next_run, overdue_check

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
REPORTS = Path(__file__).parents[1] / "data" / "duplicati" / "reports"
UNSAVED = pytest.mark.parametrize("outcome", ["aborted", "dry_run"])


@pytest.fixture
def settings(settings_of_each_database):
    """Every test here runs on SQLite and on PostgreSQL."""
    return settings_of_each_database


@pytest.fixture(autouse=True)
def database(db):
    """A database, open for the test."""


def make_unsaved(outcome: str = "aborted", **changes: Any) -> None:
    """Store a run that saved nothing and has no figures of its job."""
    make_run(outcome=outcome, **{"not_told": NO_FIGURES, **changes})


def state(job: Job) -> tuple[Any, ...]:
    names = ("run_id", "began_at", "status", "outcome", "duration_s", "warning_count", "error_count")
    return tuple(getattr(job, f"state_{name}") for name in names)


class TestSchedule:
    @UNSAVED
    def test_the_next_expected_run_is_unchanged(self, outcome):
        make_run()
        make_unsaved(outcome, began_at=BEGAN_AT + DAY)
        assert find_job().next_expected_at == BEGAN_AT + DAY

    @UNSAVED
    def test_a_job_becomes_overdue_despite_unsaved_runs(self, outcome):
        make_run()
        make_unsaved(outcome, began_at=BEGAN_AT + DAY)
        make_unsaved(outcome, began_at=BEGAN_AT + 2 * DAY)
        assert find_overdue(BEGAN_AT + DAY + 2 * HOUR) == []
        assert [job.name for job in find_overdue(BEGAN_AT + DAY + 2 * HOUR + MINUTE)] == ["photos"]

    @UNSAVED
    def test_an_overdue_job_stays_overdue_until_a_saved_run(self, clock, outcome):
        make_run()
        now = BEGAN_AT + 2 * DAY + 3 * HOUR
        make_unsaved(outcome, began_at=now)
        assert len(find_overdue(now)) == 1
        make_run(began_at=now + MINUTE)
        assert find_overdue(now + HOUR) == []

    @UNSAVED
    def test_a_first_unsaved_run_is_the_anchor_and_the_next_slot_is_expected(self, outcome):
        make_unsaved(outcome)
        job = find_job()
        assert (job.schedule_anchor_at, job.next_expected_at) == (BEGAN_AT, BEGAN_AT + DAY)
        make_unsaved(outcome, began_at=BEGAN_AT + DAY)
        assert find_job().next_expected_at == BEGAN_AT + DAY
        assert len(find_overdue(BEGAN_AT + DAY + 3 * HOUR)) == 1

    @UNSAVED
    def test_the_next_run_reported_by_an_unsaved_run_fulfils_no_slot(self, outcome):
        make_run(next_scheduled_at=BEGAN_AT + DAY)
        make_unsaved(outcome, began_at=BEGAN_AT + DAY, next_scheduled_at=BEGAN_AT + 2 * DAY)
        assert find_job().next_expected_at == BEGAN_AT + DAY
        assert len(find_overdue(BEGAN_AT + DAY + 3 * HOUR)) == 1

    def test_the_next_run_reported_by_a_first_unsaved_run_is_expected(self):
        make_unsaved(next_scheduled_at=BEGAN_AT + 5 * HOUR)
        make_unsaved(began_at=BEGAN_AT + 5 * HOUR, next_scheduled_at=BEGAN_AT + 29 * HOUR)
        assert find_job().next_expected_at == BEGAN_AT + 5 * HOUR
        assert len(find_overdue(BEGAN_AT + 8 * HOUR)) == 1

    def test_rescheduling_does_not_count_it_as_a_run_either(self):
        make_run(next_scheduled_at=BEGAN_AT + DAY)
        make_unsaved(began_at=BEGAN_AT + DAY, next_scheduled_at=BEGAN_AT + 2 * DAY)
        with writing() as session:
            next_run.recalculate_next_run(session.merge(find_job()))
        assert find_job().next_expected_at == BEGAN_AT + DAY

    def test_overdue_is_not_notified_again_after_an_unsaved_run(self, ingest, clock, ntfy_channel):
        job = ingest()
        clock.now = job.next_expected_at + 3 * HOUR
        assert overdue_check.check_overdue(clock(), None).notified_count == 1
        ingest(began_at=clock() + MINUTE, outcome="aborted", not_told=NO_FIGURES)
        clock.advance(hours=1)
        assert overdue_check.check_overdue(clock(), None).notified_count == 0

    @pytest.mark.parametrize("outcome", ["stopped", "partial", ""])
    def test_a_saved_run_fulfils_its_slot(self, outcome):
        make_run()
        make_run(began_at=BEGAN_AT + DAY, outcome=outcome, status="Warning")
        assert find_job().next_expected_at == BEGAN_AT + 2 * DAY


class TestState:
    @UNSAVED
    def test_the_state_of_the_job_is_that_of_the_previous_run(self, outcome):
        make_run(status="Warning", warning_count=3)
        before = state(find_job())
        make_unsaved(outcome, began_at=BEGAN_AT + HOUR)
        assert state(find_job()) == before

    @UNSAVED
    def test_the_newest_run_is_returned_as_received(self, outcome):
        make_run()
        make_unsaved(outcome, began_at=BEGAN_AT + HOUR, status="Error", error_count=1)
        job = find_job()
        assert (job.last_status, job.last_outcome, job.last_error_count) == ("Error", outcome, 1)
        assert (job.run_count, job.recent_statuses) == (2, "SE")

    def test_it_keeps_storage_files_versions_and_quota(self):
        figures = {"storage_bytes": 7, "examined_files": 5, "examined_bytes": 6, "version_count": 3}
        quota = {"quota_total_bytes": 100, "quota_free_bytes": 40}
        versions = {"available_versions": ("2031-05-03T11:00:00.000Z",), "version_at": BEGAN_AT}
        make_run(**figures, **quota, **versions)
        before = {name: getattr(find_job(), f"last_{name}") for name in [*figures, *quota, "available_versions"]}
        make_unsaved(began_at=BEGAN_AT + HOUR)
        job = find_job()
        assert {name: getattr(job, f"last_{name}") for name in before} == before
        assert job.last_versions == ("2031-05-04T11:00:00.000Z", "2031-05-03T11:00:00.000Z")

    def test_figures_of_a_dry_run_are_stored(self):
        make_run(storage_bytes=7, version_count=3)
        unknown = NO_FIGURES & ~Figure.STORAGE
        make_unsaved("dry_run", began_at=BEGAN_AT + HOUR, storage_bytes=8, not_told=unknown)
        job = find_job()
        assert (job.last_storage_bytes, job.last_version_count) == (8, 3)

    def test_a_late_unsaved_run_keeps_the_state_of_the_newest_good_run(self):
        make_run(began_at=BEGAN_AT + DAY)
        before = state(find_job())
        make_unsaved(began_at=BEGAN_AT)
        assert state(find_job()) == before
        assert find_job().recent_statuses == "SS"

    def test_a_late_good_run_decides_if_only_unsaved_ones_follow(self):
        make_unsaved(began_at=BEGAN_AT + DAY)
        make_run(status="Warning")
        job = find_job()
        assert (job.state_status, job.state_began_at, job.last_outcome) == ("Warning", BEGAN_AT, "aborted")
        assert job.next_expected_at == BEGAN_AT + DAY

    def test_without_good_runs_no_run_decides(self, clock):
        run = make_run()
        make_unsaved(began_at=BEGAN_AT + DAY)
        with writing() as session:
            session.delete(session.merge(run))
            session.flush()
            job_stats.recompute(session, session.merge(find_job()))
        job = find_job()
        assert (job.state_run_id, job.state_began_at, job.state_status, job.state_outcome) == (None, None, None, "")
        assert job.last_outcome == "aborted"

    def test_a_job_without_saved_runs_is_listed_without_a_status(self):
        make_unsaved()
        [job] = overview.overview(BEGAN_AT + HOUR, None).jobs
        assert (job.last_status, job.newest.status, job.newest.counts) == ("N/A", "Success", False)

    def test_it_neither_delays_anomalies_nor_is_used_for_comparison(self):
        for number in range(9):
            make_run(began_at=BEGAN_AT + number * DAY, uploaded_bytes=10_000_000)
        make_run(began_at=BEGAN_AT + 9 * DAY, uploaded_bytes=900_000_000)
        before = find_job().anomalies
        assert [each["figure"] for each in before] == ["upload"]
        make_unsaved(began_at=BEGAN_AT + 10 * DAY)
        assert find_job().anomalies == before
        make_unsaved(began_at=BEGAN_AT + 11 * DAY, uploaded_bytes=90_000_000_000)
        assert find_job().anomalies == before

    def test_days_count_it_neither_as_a_run_nor_as_a_success(self, db):
        make_run(uploaded_bytes=3)
        make_unsaved(began_at=BEGAN_AT + HOUR, uploaded_bytes=4, status="Error")
        make_unsaved("dry_run", began_at=BEGAN_AT + DAY)
        days = db.session.scalars(select(JobDay).order_by(JobDay.day)).all()
        assert [(day.run_count, day.success_count, day.worst_status) for day in days] == [(1, 1, 0), (0, 0, 0)]
        assert [day.uploaded_bytes for day in days] == [7, 0]

    @UNSAVED
    def test_a_digest_counts_it_neither_as_a_run_nor_for_its_slot(self, clock, outcome):
        begin = BEGAN_AT.replace(hour=0) + DAY
        for day in range(8):
            make_run(began_at=BEGAN_AT + day * DAY)
            if day == 3:
                make_unsaved(outcome, began_at=BEGAN_AT + day * DAY + HOUR)
        with writing() as session:
            session.merge(find_job())
        made = digests.collect_figures(begin, begin + 7 * DAY, BEGAN_AT + 9 * DAY)
        assert (made.fine_count, made.run_count, made.missed_count) == (7, 7, 0)

    @UNSAVED
    def test_a_digest_counts_a_slot_with_only_an_unsaved_run_as_missed(self, outcome):
        begin = BEGAN_AT.replace(hour=0) + DAY
        for day in range(8):
            unsaved = {"outcome": outcome, "not_told": NO_FIGURES} if day == 3 else {}
            make_run(began_at=BEGAN_AT + day * DAY, **unsaved)
        made = digests.collect_figures(begin, begin + 7 * DAY, BEGAN_AT + 9 * DAY)
        assert (made.fine_count, made.run_count, made.missed_count) == (6, 6, 1)


class TestHeartbeats:
    def letters(self, now) -> str:
        [job] = overview.overview(now, None).jobs
        return "".join(beat.letter for beat in job.heartbeat_input(now).heartbeats(30))

    @pytest.mark.parametrize(("outcome", "letter"), [("aborted", "A"), ("dry_run", "D"), ("stopped", "S")])
    def test_it_has_its_own_letter_in_place_of_the_gap(self, outcome, letter):
        for day in range(4):
            make_run(began_at=BEGAN_AT + day * DAY, outcome=outcome if day == 2 else "")
        assert self.letters(BEGAN_AT + 3 * DAY + HOUR) == f"SS{letter}S"

    def test_one_between_two_slots_fills_no_gap(self):
        make_run()
        make_unsaved(began_at=BEGAN_AT + DAY + 10 * HOUR)
        make_run(began_at=BEGAN_AT + 2 * DAY)
        assert self.letters(BEGAN_AT + 2 * DAY + HOUR) == "SMAS"

    def test_an_overdue_job_shows_the_gaps_next_to_it(self):
        make_run()
        make_unsaved(began_at=BEGAN_AT + DAY + HOUR)
        assert self.letters(BEGAN_AT + 3 * DAY) == "SAM"

    def test_an_aborted_run_is_shown_before_the_run_that_reports_it(self):
        make_run()
        make_run(began_at=BEGAN_AT + 2 * DAY, broken_off_at=BEGAN_AT + DAY)
        job = find_job()
        assert (job.last_broken_off_at, job.run_count) == (BEGAN_AT + DAY, 2)
        assert self.letters(BEGAN_AT + 2 * DAY + HOUR) == f"S{BROKEN_OFF}S"

    def test_bars_are_the_same_after_a_recount(self):
        make_run()
        make_unsaved(began_at=BEGAN_AT + DAY)
        make_run(began_at=BEGAN_AT + 3 * DAY, broken_off_at=BEGAN_AT + 2 * DAY)
        before = find_job().recent_runs
        with writing() as session:
            job_stats.recompute(session, session.merge(find_job()))
        assert find_job().recent_runs == before
        assert self.letters(BEGAN_AT + 3 * DAY + HOUR) == "SABS"


@pytest.mark.usefixtures("ntfy_channel")
class TestMessages:
    @pytest.fixture
    def notified(self, deliveries):
        """Return the event of every message so far."""
        return lambda: [row.event for row in deliveries()]

    @pytest.fixture
    def unsaved(self, ingest, clock):
        """Store an unsaved run after a good one; `event` is the filter of the job."""

        def unsaved(event: str = "warnings", **changes: Any) -> Job:
            job = ingest()
            with writing():
                job.notification_event = event
            return ingest(**{"began_at": clock(), "outcome": "aborted", "not_told": NO_FIGURES, **changes})

        return unsaved

    @pytest.mark.parametrize(
        ("event", "status", "count"),
        [
            ("all", "Success", 1),
            ("warnings", "Success", 0),
            ("warnings", "Warning", 1),
            ("errors", "Warning", 0),
            ("errors", "Error", 1),
            ("off", "Fatal", 0),
        ],
    )
    def test_it_is_notified_by_the_filter_of_its_status(self, unsaved, notified, event, status, count):
        unsaved(event, status=status)
        assert notified() == ["warning"] * count

    @pytest.mark.parametrize(
        ("outcome", "words"),
        [
            ("aborted", "Error (aborted)"),
            ("dry_run", "Error (dry run)"),
            ("stopped", "Error (stopped)"),
            ("partial", "Error (partial)"),
        ],
    )
    def test_the_message_contains_the_outcome(self, unsaved, deliveries, outcome, words):
        unsaved(status="Error", outcome=outcome)
        [delivery] = deliveries()
        assert delivery.payload["values"]["status"] == words
        assert words in delivery.payload["text"]

    def test_the_message_contains_the_known_figures_of_the_job(self, ingest, clock, deliveries):
        ingest(storage_bytes=2_000_000, examined_files=1234, examined_bytes=5_000_000, version_count=17)
        ingest(began_at=clock(), status="Error", outcome="aborted", not_told=NO_FIGURES)
        values = deliveries()[0].payload["values"]
        assert values["file_count"] == "1,234"
        assert values["available_versions"] == "17"
        assert values["storage_size"].startswith("1.91")
        assert values["file_size"].startswith("4.77")

    def test_it_opens_no_issue_even_with_an_error(self, unsaved):
        job = unsaved(status="Error", error_count=1)
        assert (job.trouble_kind, job.trouble_since_at) == (None, None)

    def test_it_resolves_no_issue_and_no_recovery_is_sent(self, ingest, clock, notified):
        ingest(status="Fatal")
        job = ingest(began_at=clock(), outcome="aborted", not_told=NO_FIGURES)
        assert (job.trouble_kind, notified()) == ("Fatal", ["warning"])
        ingest(began_at=clock() + HOUR)
        assert notified() == ["warning", "recovered"]

    def test_it_does_not_end_an_overdue_alarm(self, ingest, clock, notified):
        job = ingest()
        clock.now = job.next_expected_at + 3 * HOUR
        overdue_check.check_overdue(clock(), None)
        job = ingest(began_at=clock(), outcome="dry_run", not_told=NO_FIGURES)
        assert (job.trouble_kind, notified()) == ("Overdue", ["overdueBackup"])
        clock.advance(hours=1)
        ingest(began_at=clock())
        assert notified() == ["overdueBackup", "recovered"]

    def test_an_earlier_good_run_still_resolves_an_issue(self, ingest, clock, notified):
        ingest(status="Fatal")
        ingest(began_at=clock() + HOUR, outcome="aborted", not_told=NO_FIGURES)
        ingest(began_at=clock())
        assert notified() == ["warning", "recovered"]

    def test_an_aborted_run_is_notified_with_the_next_run(self, unsaved, clock, deliveries):
        unsaved("all", outcome="", not_told=0, broken_off_at=clock() - HOUR)
        [delivery] = deliveries()
        assert "The run of 04/05/2031, 11:00 was interrupted." in delivery.payload["text"].replace("\\", "")

    def test_it_is_also_notified_with_a_recovery(self, ingest, clock, deliveries):
        ingest(status="Fatal")
        ingest(began_at=clock() + HOUR, broken_off_at=clock() - HOUR)
        last = deliveries()[-1]
        assert last.event == "recovered"
        assert "The run of 04/05/2031, 11:00 was interrupted." in last.payload["text"].replace("\\", "")


def test_cleanup_keeps_the_state_of_the_newest_saved_run(clock):
    make_run(status="Error", error_count=1)
    make_run(began_at=BEGAN_AT + DAY, status="Warning")
    make_unsaved(began_at=BEGAN_AT + 300 * DAY)
    run_deletion.delete_older_runs("6 months", actor=Actor(), now=BEGAN_AT + 300 * DAY)
    job = find_job()
    assert (job.run_count, job.state_status, job.last_outcome) == (1, None, "aborted")


class TestPowerCut:
    """Recorded: a weekly job whose run of 7 March was aborted, as the run of 9 March reports."""

    BROKEN_OFF_AT = datetime(2026, 3, 7, 4, 30, tzinfo=UTC)
    AFTER_IT = datetime(2026, 3, 9, 5, tzinfo=UTC)

    @pytest.fixture(params=["json", "form"])
    def after_it(self, request, clock, client, admin):
        """Upload the recorded runs of the killed server, up to the one after it; return its job."""
        for name, now in (("crash-de-0", datetime(2026, 3, 2, 5, tzinfo=UTC)), ("crash-de-2", self.AFTER_IT)):
            recorded = json.loads((REPORTS / f"{name}.{request.param}.json").read_text())
            clock.now = now
            answer = client.post("/api/upload", data=recorded["body"].encode(), content_type=recorded["content-type"])
            assert answer.status_code == 200
        return find_job("m-crash-de", "Büro")

    def test_the_job_stores_the_begin_of_the_aborted_run(self, after_it):
        assert (after_it.last_broken_off_at, after_it.last_outcome) == (self.BROKEN_OFF_AT, "")

    def test_the_aborted_run_is_not_counted_as_a_run(self, after_it):
        assert (after_it.run_count, after_it.recent_statuses) == (2, "SS")

    def test_its_heartbeat_is_in_its_slot_and_the_other_slots_are_missed(self, after_it):
        [job] = overview.overview(self.AFTER_IT, None).jobs
        beats = job.heartbeat_input(self.AFTER_IT).heartbeats(30)
        assert "".join(beat.letter for beat in beats) == "SMMMMBMS"
        assert next(beat.at for beat in beats if beat.letter == BROKEN_OFF) == self.BROKEN_OFF_AT

    def test_insight_returns_it(self, after_it, admin):
        [job] = admin.get("/api/insight/m-crash-de").get_json()["backups"]
        assert (job["previousRunBrokenOffAt"], job["lastOutcome"]) == (iso(self.BROKEN_OFF_AT), "")


class TestWire:
    @pytest.fixture
    def aborted(self, client):
        """Upload a good run and one that was aborted with an error."""
        client.post("/api/upload", data=report_body())
        data = {"Interrupted": True, "ExaminedFiles": 0, "SizeOfExaminedFiles": 0, "ErrorsActualLength": 1}
        body = report_body(began_at=BEGAN_AT + MINUTE, result="Error", data=data | {"BackendStatistics": None})
        assert client.post("/api/upload", data=body).status_code == 200

    def test_the_status_is_the_reported_one(self, aborted, client, admin):
        newest = client.get("/api/lastbackup/machine-1").get_json()["latest_backup"]
        assert (newest["status"], newest["errors"], newest["date"]) == ("Error", 1, iso(BEGAN_AT + MINUTE))
        [server] = admin.get("/api/dashboard").get_json()["serversSummary"]
        [job] = server["backupInfo"]
        assert (server["lastBackupStatus"], job["lastBackupStatus"], job["errors"]) == ("Error", "Error", 1)
        assert job["lastBackupDate"] == iso(BEGAN_AT + MINUTE)
        assert job["backupCount"] == 2

    def test_the_next_run_is_expected_as_before(self, aborted, admin):
        [job] = admin.get("/api/dashboard").get_json()["serversSummary"][0]["backupInfo"]
        assert job["expectedBackupDate"] == iso(BEGAN_AT + DAY)

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            ({"Interrupted": True, "BackendStatistics": None, "ExaminedFiles": 0}, "aborted"),
            ({"Dryrun": True}, "dry run"),
            ({"PartialBackup": True}, "partial"),
            ({}, ""),
        ],
    )
    def test_insight_returns_the_outcome_of_the_newest_run(self, client, admin, data, words):
        client.post("/api/upload", data=report_body(data=data))
        [job] = admin.get("/api/insight").get_json()["servers"][0]["backups"]
        assert job["lastOutcome"] == words
