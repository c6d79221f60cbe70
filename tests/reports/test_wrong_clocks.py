"""Servers whose clock is ahead: their runs count as of their reception, and hide nothing; on both databases."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from factories import BEGAN_AT, SENDER, find_job, find_overdue, make_report, make_run, report_body
from sqlalchemy import select

from app.audit.log import AuditEntry
from app.backups import overview
from app.backups.models import Run, Server
from app.collector import store as collector_store
from app.core.instants import iso
from app.reports.ingest import DuplicateReport, ingest_report
from app.reports.parser import Figure, correct_clock
from app.reports.versions import CONSIDERED, VersionLog

DAY, HOUR, MINUTE, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
MILLISECOND = timedelta(milliseconds=1)
YEARS = 1500 * DAY
NOW = BEGAN_AT + HOUR


@pytest.fixture
def settings(settings_of_each_database):
    """Every test here runs on SQLite and on PostgreSQL."""
    return settings_of_each_database


@pytest.fixture(autouse=True)
def database(db):
    """A database, open for the test."""


def make_ahead(ahead: timedelta = YEARS, now=NOW, **changes: Any) -> Run:
    """Store a run of two minutes that ends at its reception, by a clock that is ahead."""
    return make_run(now=now, began_at=now + ahead - 2 * MINUTE, **changes)


def entries(db, action: str = "server_clock_ahead") -> list[AuditEntry]:
    db.session.commit()
    return list(db.session.scalars(select(AuditEntry).where(AuditEntry.action == action).order_by(AuditEntry.id)))


def clock_ahead(db) -> int | None:
    db.session.commit()
    return db.session.scalar(select(Server.clock_ahead_s).where(Server.id == "machine-1"))


class TestCorrection:
    def corrected(self, began_at, **changes):
        return correct_clock(make_report(began_at=began_at, **changes), NOW)

    def test_a_run_in_the_future_ends_at_its_reception(self):
        report = self.corrected(NOW + 30 * DAY)
        assert (report.began_at, report.ended_at) == (NOW - 2 * MINUTE, NOW)
        assert (report.reported_began_at, report.sent_began_at) == (NOW + 30 * DAY,) * 2
        assert report.clock_ahead_s == int((30 * DAY + 2 * MINUTE).total_seconds())

    @pytest.mark.parametrize("began_at", [NOW + DAY, NOW + DAY - MILLISECOND, NOW, NOW - 9 * DAY])
    def test_exactly_one_day_ahead_is_not_moved(self, began_at):
        report = self.corrected(began_at)
        assert (report.began_at, report.reported_began_at, report.clock_ahead_s) == (began_at, None, 0)

    def test_a_millisecond_more_is_moved(self):
        assert self.corrected(NOW + DAY + MILLISECOND).began_at == NOW - 2 * MINUTE

    def test_the_sent_duration_counts_if_it_is_shorter_than_the_span(self):
        report = self.corrected(NOW + 30 * DAY, ended_at=NOW + 31 * DAY, duration_s=60.0)
        assert (report.began_at, report.ended_at) == (NOW - MINUTE, NOW)

    def test_the_next_run_is_corrected_by_the_error(self):
        began_at = NOW + YEARS
        report = self.corrected(began_at, next_scheduled_at=began_at + 2 * MINUTE + DAY)
        assert (report.next_scheduled_at, report.is_next_run_ignored) == (NOW + DAY, False)

    @pytest.mark.parametrize(("away", "is_ignored"), [(400 * DAY, False), (400 * DAY + SECOND, True)])
    def test_a_next_run_of_more_than_400_days_away_is_ignored(self, away, is_ignored):
        report = self.corrected(BEGAN_AT, next_scheduled_at=NOW + away)
        assert report.is_next_run_ignored == is_ignored
        assert report.next_scheduled_at == (None if is_ignored else NOW + away)

    def test_a_version_and_an_aborted_run_are_moved_with_the_run(self):
        began_at = NOW + 30 * DAY
        report = self.corrected(began_at, version_at=began_at, broken_off_at=began_at - DAY)
        assert report.version_at == report.began_at
        assert report.broken_off_at == report.began_at - DAY


def test_the_run_counts_as_of_its_reception_and_keeps_the_sent_begin():
    make_ahead()
    job = find_job()
    assert (job.last_began_at, job.state_began_at) == (NOW - 2 * MINUTE,) * 2
    assert job.last_reported_began_at == job.last_sent_began_at == NOW + YEARS - 2 * MINUTE
    assert job.next_expected_at == NOW - 2 * MINUTE + DAY


def test_later_correct_runs_are_the_newest():
    make_ahead()
    make_run(began_at=NOW + HOUR, status="Error")
    job = find_job()
    assert (job.last_began_at, job.state_status, job.last_reported_began_at) == (NOW + HOUR, "Error", None)
    assert job.recent_statuses == "SE"


def test_a_job_is_overdue_despite_a_run_in_the_future():
    make_ahead(next_scheduled_at=NOW + YEARS + DAY)
    assert find_job().next_expected_at == NOW + DAY
    assert find_overdue(NOW + DAY + 2 * HOUR) == []
    assert len(find_overdue(NOW + DAY + 2 * HOUR + SECOND)) == 1


def test_a_next_run_years_away_does_not_prevent_overdue_and_is_audited(db, caplog):
    make_run(next_scheduled_at=BEGAN_AT + YEARS)
    job = find_job()
    assert (job.announced_next_at, job.next_expected_at) == (None, BEGAN_AT + DAY)
    [entry] = entries(db, "backup_upload")
    assert entry.details["next_scheduled_run"] == "ignored"
    assert "the next run that 'nas' announces for 'photos' is too far ahead, ignored" in caplog.text


def test_a_usual_upload_is_audited_without_this_note(db):
    make_run(next_scheduled_at=BEGAN_AT + DAY)
    [entry] = entries(db, "backup_upload")
    assert not {"next_scheduled_run", "clock_ahead_seconds", "outcome"} & set(entry.details)


def test_a_next_run_of_the_wrong_clock_is_corrected_when_it_is_right_again():
    make_run(began_at=NOW - 2 * DAY)
    make_run(began_at=NOW - DAY)
    make_ahead(30 * DAY)
    make_run(now=NOW + DAY, began_at=NOW + DAY, next_scheduled_at=NOW + 32 * DAY)
    assert find_job().next_expected_at == NOW + 2 * DAY
    make_run(now=NOW + 2 * DAY, began_at=NOW + 2 * DAY, next_scheduled_at=NOW + 3 * DAY)
    assert find_job().next_expected_at == NOW + 3 * DAY


def test_a_duration_of_thousands_of_years_with_a_begin_in_the_future_is_stored(client, db, clock):
    body = report_body(began_at=clock() + YEARS, data={"Duration": "99999.00:00:00"})
    assert client.post("/api/upload", data=body).status_code == 200
    [run] = db.session.scalars(select(Run)).all()
    assert run.began_at <= run.ended_at == clock()


class TestDuplicates:
    def test_the_same_report_again_is_a_duplicate_at_any_time(self):
        report = make_report(began_at=NOW + YEARS)
        ingest_report(report, now=NOW, actor=SENDER)
        for later in (SECOND, 30 * DAY):
            with pytest.raises(DuplicateReport):
                ingest_report(report, now=NOW + later, actor=SENDER)

    def test_it_is_one_even_after_the_sent_date_has_passed(self):
        report = make_report(began_at=NOW + 2 * DAY)
        ingest_report(report, now=NOW, actor=SENDER)
        with pytest.raises(DuplicateReport):
            ingest_report(report, now=NOW + 3 * DAY, actor=SENDER)

    def test_two_runs_received_at_the_same_time_are_both_stored(self, db):
        make_ahead(YEARS)
        make_ahead(YEARS + DAY)
        runs = db.session.scalars(select(Run).order_by(Run.began_at)).all()
        assert [run.began_at for run in runs] == [NOW - 2 * MINUTE - MILLISECOND, NOW - 2 * MINUTE]
        assert find_job().run_count == 2

    def test_a_correct_run_at_the_computed_begin_is_no_duplicate(self, db):
        make_ahead(YEARS)
        run = make_run(began_at=NOW - 2 * MINUTE)
        assert run.sent_began_at == NOW - 2 * MINUTE
        assert find_job().run_count == 2
        with pytest.raises(DuplicateReport):
            make_run(began_at=NOW - 2 * MINUTE)


class TestVersions:
    """A server names its versions by its own clock, and the list of the next run has these times."""

    AHEAD = 30 * DAY

    def back_up(self, now, *listed, ahead=AHEAD) -> Run:
        texts = ", ".join(f"{version:%Y-%m-%d %H:%M:%S}" for version in listed)
        line = f"{now + ahead:%Y-%m-%d %H:%M:%S} +00 - [Information-X]: {CONSIDERED} {texts}"
        began_at = now + ahead - 2 * MINUTE
        return make_run(
            now=now,
            began_at=began_at,
            version_at=began_at,
            version_log=VersionLog(line if listed else ""),
            not_told=Figure(0) if listed else Figure.VERSION_LIST,
        )

    def test_no_version_is_in_the_future(self):
        moments = [NOW + day * DAY for day in range(4)]
        named = [moment + self.AHEAD - 2 * MINUTE for moment in moments]
        for place, moment in enumerate(moments):
            run = self.back_up(moment, *named[:place][::-1])
        true = [iso(moment - 2 * MINUTE) for moment in moments][::-1]
        assert run.available_versions == tuple(true[1:])
        assert find_job().last_versions == tuple(true)

    def test_versions_of_unknown_runs_are_corrected_by_the_error(self):
        named = [NOW + self.AHEAD - day * DAY for day in (1, 2)]
        assert self.back_up(NOW, *named).available_versions == tuple(iso(NOW - day * DAY) for day in (1, 2))

    def test_earlier_versions_are_unchanged(self):
        true = (NOW - DAY, NOW - 2 * DAY)
        assert self.back_up(NOW, *true).available_versions == tuple(map(iso, true))

    def test_versions_are_unchanged_when_the_clock_is_right_again(self):
        self.back_up(NOW)
        before = find_job().last_versions
        later = NOW + self.AHEAD + 5 * DAY
        run = self.back_up(later, NOW + self.AHEAD - 2 * MINUTE, ahead=timedelta())
        assert run.available_versions == before


class TestServer:
    def test_server_stores_how_far_its_clock_is_ahead(self, db):
        make_ahead(YEARS)
        assert clock_ahead(db) == YEARS.total_seconds()
        [server] = overview.overview(NOW, None).servers
        assert server.clock_ahead_s == YEARS.total_seconds()

    def test_the_audit_log_records_it_once(self, db):
        for number in range(3):
            make_ahead(YEARS, now=NOW + number * DAY)
        [entry] = entries(db)
        assert (entry.target_id, entry.status) == ("machine-1", "error")
        assert entry.details == {"serverName": "nas", "clockAheadSeconds": int(YEARS.total_seconds())}

    def test_the_audit_log_records_it_again_when_the_error_changes(self, db):
        make_ahead(YEARS)
        make_ahead(YEARS + 2 * HOUR, now=NOW + DAY)
        assert len(entries(db)) == 2

    def test_the_entry_of_the_upload_records_it_too(self, db):
        make_ahead(YEARS)
        [entry] = entries(db, "backup_upload")
        assert entry.details["clock_ahead_seconds"] == YEARS.total_seconds()

    def test_a_report_with_the_right_time_clears_it(self, db):
        make_ahead(YEARS)
        make_run(began_at=NOW + HOUR)
        assert clock_ahead(db) is None

    def test_a_late_old_report_does_not_clear_it(self, db):
        make_ahead(YEARS)
        make_run(began_at=NOW - 9 * DAY, now=NOW + HOUR)
        assert clock_ahead(db) == YEARS.total_seconds()

    def test_a_wrong_clock_shows_no_offset(self, db):
        make_ahead(YEARS, utc_offset_min=60)
        assert db.session.scalar(select(Server.seen_offsets)) == []
        make_run(began_at=NOW + HOUR, utc_offset_min=60)
        db.session.commit()
        assert [period[2] for period in db.session.scalar(select(Server.seen_offsets))] == [60]


class TestCollecting:
    def collect(self, *begins, now=NOW) -> int:
        reports = [make_report(began_at=at, format=4, duration_s=60.0 * (2 + place)) for place, at in enumerate(begins)]
        return collector_store.store_reports("machine-1", reports, now)

    def begins(self, db) -> list:
        db.session.commit()
        return list(db.session.scalars(select(Run.began_at).order_by(Run.reported_began_at)))

    def test_a_batch_keeps_its_order_and_distances(self, db):
        sent = [NOW + YEARS - 2 * DAY, NOW + YEARS - DAY, NOW + YEARS]
        assert self.collect(*sent) == 3
        found = self.begins(db)
        assert found == sorted(found)
        assert all(abs(later - earlier - DAY) <= 2 * MINUTE for earlier, later in pairwise(found))
        assert NOW - HOUR < found[-1] < NOW
        assert find_job().last_reported_began_at == sent[-1]

    def test_known_runs_are_not_stored_again(self):
        sent = [NOW + YEARS - DAY, NOW + YEARS]
        assert self.collect(*sent) == 2
        assert self.collect(*sent, sent[-1] + DAY, now=NOW + DAY) == 1
        assert find_job().run_count == 3

    def test_an_uploaded_run_is_not_collected_again(self):
        make_run(began_at=NOW + YEARS, now=NOW)
        assert self.collect(NOW + YEARS, now=NOW + HOUR) == 0
        assert find_job().run_count == 1

    def test_correct_runs_of_the_batch_are_unchanged(self, db):
        self.collect(NOW - 3 * DAY, NOW - 2 * DAY, NOW + YEARS)
        found = sorted(self.begins(db))
        assert found[:2] == [NOW - 3 * DAY, NOW - 2 * DAY]
        assert NOW - HOUR < found[2] < NOW


@pytest.fixture
def from_the_future(client, clock):
    """Upload a report whose clock is thirty days ahead; return the begin that it names."""
    began_at = clock() + 30 * DAY
    assert client.post("/api/upload", data=report_body(began_at=began_at)).status_code == 200
    return began_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_the_api_returns_the_sent_date(client, admin, from_the_future):
    assert client.get("/api/lastbackup/machine-1").get_json()["latest_backup"]["date"] == from_the_future
    [server] = admin.get("/api/dashboard").get_json()["serversSummary"]
    assert server["lastBackupDate"] == server["backupInfo"][0]["lastBackupDate"] == from_the_future


def test_a_duplicate_is_answered_as_one(client, clock, from_the_future):
    body = report_body(began_at=clock() + 30 * DAY)
    assert client.post("/api/upload", data=body).status_code == 409


def test_insight_returns_how_far_the_clock_is_ahead(admin, from_the_future):
    [server] = admin.get("/api/insight").get_json()["servers"]
    assert server["clockAheadSeconds"] == (30 * DAY + 2 * MINUTE).total_seconds()


class TestCorrectedClock:
    """Duplicati continues with the times that it has scheduled by the wrong clock."""

    AHEAD = 60 * DAY

    def next_expected(self, next_scheduled_at, *, was_ahead: bool = True):
        for day in range(4):
            make_run(began_at=BEGAN_AT + (day - 5) * DAY)
        if was_ahead:
            make_ahead(self.AHEAD)
        make_run(began_at=NOW + HOUR, next_scheduled_at=next_scheduled_at)
        return find_job().next_expected_at

    def test_a_next_run_of_the_wrong_clock_is_corrected_by_its_error(self):
        assert self.next_expected(NOW + self.AHEAD + DAY) == NOW + DAY

    def test_a_next_run_no_further_away_than_the_error_is_unchanged(self):
        assert self.next_expected(NOW + 3 * DAY) == NOW + 3 * DAY

    def test_a_server_whose_clock_was_never_ahead_is_trusted(self):
        assert self.next_expected(NOW + self.AHEAD + DAY, was_ahead=False) == NOW + self.AHEAD + DAY
