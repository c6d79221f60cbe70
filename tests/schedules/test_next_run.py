"""When a job should run next, after each report and after a change of its interval."""

from datetime import timedelta

import pytest
from factories import BEGAN_AT, find_job, find_overdue, make_run

from app.audit.log import SYSTEM
from app.backups.models import Job
from app.core.db.orm import writing
from app.core.errors import Refused
from app.core.instants import MILLISECOND
from app.reports.parser import NO_FIGURES
from app.schedules import job_settings, next_run, overdue_check
from app.schedules.job_settings import JobChange

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture(autouse=True)
def database(db):
    """A database, open for the test."""


def change(job: Job, **values) -> Job:
    with writing() as session:
        job = session.merge(job)
        for name, value in values.items():
            setattr(job, name, value)
        next_run.recalculate_next_run(job)
    return find_job()


def test_first_run_is_the_anchor_of_a_daily_schedule():
    make_run()
    job = find_job()
    assert (job.schedule_anchor_at, job.next_expected_at) == (BEGAN_AT, BEGAN_AT + DAY)


def test_run_that_is_late_does_not_move_the_grid():
    make_run()
    make_run(began_at=BEGAN_AT + DAY + 3 * HOUR)
    assert find_job().next_expected_at == BEGAN_AT + 2 * DAY


def test_run_shortly_before_its_time_fulfils_the_coming_slot():
    make_run()
    make_run(began_at=BEGAN_AT + DAY - timedelta(minutes=1))
    assert find_job().next_expected_at == BEGAN_AT + 2 * DAY


def test_next_run_reported_by_duplicati_precedes_the_grid():
    make_run(next_scheduled_at=BEGAN_AT + 5 * HOUR)
    job = find_job()
    assert (job.next_expected_at, job.schedule_anchor_at) == (BEGAN_AT + 5 * HOUR,) * 2


def test_reported_next_run_in_the_past_is_replaced_by_the_grid():
    make_run(next_scheduled_at=BEGAN_AT - HOUR)
    assert find_job().next_expected_at == BEGAN_AT - HOUR + DAY


def test_newer_report_without_a_next_run_drops_the_old_one_but_keeps_its_grid():
    make_run(next_scheduled_at=BEGAN_AT + 5 * HOUR)
    make_run(began_at=BEGAN_AT + 6 * HOUR)
    job = find_job()
    assert job.announced_next_at is None
    assert job.next_expected_at == BEGAN_AT + 5 * HOUR + DAY


def test_late_report_does_not_change_the_schedule():
    make_run(next_scheduled_at=BEGAN_AT + 5 * HOUR)
    make_run(began_at=BEGAN_AT - DAY, next_scheduled_at=BEGAN_AT + 99 * HOUR)
    job = find_job()
    assert (job.next_expected_at, job.schedule_anchor_at) == (BEGAN_AT + 5 * HOUR,) * 2


def test_unreadable_interval_gives_no_schedule():
    make_run()
    assert change(find_job(), expected_interval="soon").next_expected_at is None


def test_changed_interval_counts_from_the_anchor():
    make_run()
    assert change(find_job(), expected_interval="1W").next_expected_at == BEGAN_AT + 7 * DAY


def test_weekdays_that_are_not_allowed_are_skipped():
    make_run()  # a Sunday
    monday_excluded = 0b1111101
    assert change(find_job(), allowed_weekdays=monday_excluded).next_expected_at == BEGAN_AT + 2 * DAY


UNSAVED = {"outcome": "aborted", "not_told": NO_FIGURES}


def test_the_first_saved_run_is_the_anchor_regardless_of_earlier_attempts():
    make_run(**UNSAVED)
    make_run(began_at=BEGAN_AT + 5 * HOUR, **UNSAVED)
    make_run(began_at=BEGAN_AT + 9 * HOUR)
    job = find_job()
    assert (job.schedule_anchor_at, job.next_expected_at) == (BEGAN_AT + 9 * HOUR, BEGAN_AT + 9 * HOUR + DAY)


def test_a_later_unsaved_run_does_not_move_the_grid():
    make_run()
    make_run(began_at=BEGAN_AT + 5 * HOUR, **UNSAVED)
    job = find_job()
    assert (job.schedule_anchor_at, job.next_expected_at) == (BEGAN_AT, BEGAN_AT + DAY)


@pytest.mark.parametrize(("away_days", "source"), [(400, "duplicati"), (401, "guess")])
def test_a_grid_moved_far_away_by_a_wrong_clock_is_cleared(away_days, source):
    make_run(now=BEGAN_AT)
    far = BEGAN_AT + away_days * DAY
    job = change(find_job(), announced_next_at=far, schedule_anchor_at=far, schedule_source="duplicati")
    with writing() as session:
        job = session.merge(job)
        next_run.correct_wrong_clock(job, None)
        next_run.recalculate_next_run(job)
    job = find_job()
    assert job.schedule_source == source
    assert job.next_expected_at == (far if source == "duplicati" else BEGAN_AT + DAY)


def test_a_schedule_of_a_wrong_clock_is_corrected_by_its_error():
    make_run()
    announced = BEGAN_AT + 31 * DAY + HOUR
    job = change(find_job(), announced_next_at=announced, schedule_anchor_at=announced, schedule_source="duplicati")
    with writing() as session:
        job = session.merge(job)
        next_run.correct_wrong_clock(job, 30 * DAY)
        next_run.recalculate_next_run(job)
    job = find_job()
    assert (job.announced_next_at, job.schedule_anchor_at) == (None, BEGAN_AT + DAY + HOUR)
    assert job.next_expected_at == BEGAN_AT + DAY + HOUR


MINUTE = timedelta(minutes=1)
WORKDAYS = 0b0111110


class TestMissedRuns:
    """The grid begins on a Sunday; the run of Monday is the first that did not arrive."""

    @pytest.mark.parametrize(
        ("until", "count"),
        [
            (DAY, 0),
            (DAY + 5 * HOUR, 0),
            (2 * DAY - 2 * HOUR, 0),
            (2 * DAY - MINUTE, 1),  # within the grace period of the next one, which it fulfils
            (2 * DAY, 1),
            (4 * DAY, 3),
            (4 * DAY + 20 * HOUR, 3),
            (DAY - 5 * HOUR, 0),
        ],
    )
    def test_every_expected_run_before_the_run_counts(self, until, count):
        job = Job(schedule_anchor_at=BEGAN_AT, expected_interval="1D", allowed_weekdays=127)
        assert next_run.count_missed_runs(job, BEGAN_AT + DAY, BEGAN_AT + until) == count

    def test_days_without_schedule_do_not_count(self):
        job = Job(schedule_anchor_at=BEGAN_AT, expected_interval="1D", allowed_weekdays=WORKDAYS)
        assert next_run.count_missed_runs(job, BEGAN_AT + DAY, BEGAN_AT + 8 * DAY) == 5

    def test_each_hour_of_a_long_absence_counts(self):
        job = Job(schedule_anchor_at=BEGAN_AT, expected_interval="1h", allowed_weekdays=127)
        assert next_run.count_missed_runs(job, BEGAN_AT + HOUR, BEGAN_AT + 100 * DAY) == 2399

    @pytest.mark.parametrize("interval", ["", "never"])
    def test_an_unreadable_schedule_has_no_missed_runs(self, interval):
        job = Job(schedule_anchor_at=BEGAN_AT, expected_interval=interval, allowed_weekdays=127)
        assert next_run.count_missed_runs(job, BEGAN_AT, BEGAN_AT + 9 * DAY) == 0


class TestLearning:
    def runs(self, *days: float, **changes):
        for day in days:
            make_run(began_at=BEGAN_AT + timedelta(days=day), **changes)
        return find_job()

    def test_a_job_first_started_manually_is_expected_at_its_usual_time(self):
        job = self.runs(0, 0.6, 1.6, 2.6, 3.6)
        assert next_run.source_of(job) == "learned"
        assert job.next_expected_at == BEGAN_AT + timedelta(days=4.6)
        assert job.overdue_at == job.next_expected_at + 3 * HOUR  # an hour for the assumed zone, and the grace period
        assert job.expected_interval == "1D"

    def test_three_consecutive_runs_move_the_estimate(self):
        job = self.runs(0, 0.6, 1.6, 2.6)
        assert next_run.source_of(job) == "default"
        assert job.next_expected_at == BEGAN_AT + timedelta(days=3.6)

    def test_a_weekly_job_is_learned_with_its_fourth_run(self):
        assert self.runs(0, 7, 14).next_expected_at == BEGAN_AT + 15 * DAY
        assert self.runs(21).next_expected_at == BEGAN_AT + 28 * DAY

    def test_runs_in_any_order_give_the_same_schedule(self):
        assert self.runs(3, 1, 0, 2).learned_schedule["interval"] == "1D"

    def test_failed_and_aborted_runs_count_for_learning_and_dry_runs_do_not(self):
        self.runs(0, 1, status="Fatal")
        self.runs(2.4, outcome="dry_run", not_told=NO_FIGURES)
        self.runs(3, outcome="aborted", not_told=NO_FIGURES)
        assert self.runs(2).learned_schedule["run_count"] == 4

    def test_next_run_reported_by_duplicati_takes_precedence(self):
        self.runs(0, 1, 2, 3)
        job = self.runs(4, next_scheduled_at=BEGAN_AT + 9 * DAY)
        assert (next_run.source_of(job), job.next_expected_at) == ("duplicati", BEGAN_AT + 9 * DAY)

    def test_a_manual_run_keeps_the_reported_next_run(self):
        self.runs(0, next_scheduled_at=BEGAN_AT + 7 * DAY)
        assert self.runs(3).next_expected_at == BEGAN_AT + 7 * DAY
        # The announced run arrived; the next one, a manual run, announces nothing.
        self.runs(7, next_scheduled_at=BEGAN_AT + 14 * DAY)
        assert self.runs(15).next_expected_at != BEGAN_AT + 14 * DAY

    def test_a_choice_of_a_user_takes_precedence_and_the_default_is_no_choice(self):
        self.runs(0, 7, 14, 21)
        save("machine-1:photos", expected_interval="3D")
        assert (next_run.source_of(find_job()), find_job().learned_schedule) == ("person", None)
        save("machine-1:photos", expected_interval="1D")
        assert (next_run.source_of(find_job()), find_job().next_expected_at) == ("learned", BEGAN_AT + 28 * DAY)

    def test_an_imported_interval_is_no_choice(self):
        self.runs(0, 7, 14)
        change(find_job(), expected_interval="1D12h", interval_source="imported")
        assert self.runs(21).next_expected_at == BEGAN_AT + 28 * DAY

    def test_posting_the_whole_map_unchanged_is_no_choice(self):
        before = self.runs(0, 1, 2, 3)
        old_time = before.next_expected_at
        self.runs(4)
        job = find_job()
        unchanged = {"expected_interval": job.expected_interval, "allowed_weekdays": job.allowed_weekdays}
        for time in (old_time, job.next_expected_at):
            save("machine-1:photos", expected_at=time, **unchanged)
            assert (next_run.source_of(find_job()), find_job().next_expected_at) == ("learned", BEGAN_AT + 5 * DAY)

    def test_another_time_is_a_choice(self):
        self.runs(0, 1, 2, 3)
        save("machine-1:photos", expected_at=BEGAN_AT + 4 * DAY + 5 * HOUR)
        assert next_run.source_of(find_job()) == "person"
        assert self.runs(4).next_expected_at == BEGAN_AT + 4 * DAY + 5 * HOUR

    def test_a_kept_schedule_stays_when_the_runs_move(self):
        self.runs(0, 7, 14, 21)
        job_settings.keep_schedule("machine-1", "photos", actor=SYSTEM, now=BEGAN_AT)
        job = self.runs(22, 23, 24, 25)
        assert (next_run.source_of(job), job.expected_interval) == ("kept", "1W")
        assert job.next_expected_at == BEGAN_AT + 28 * DAY
        job_settings.learn_schedule("machine-1", "photos", actor=SYSTEM, now=BEGAN_AT)
        job = find_job()
        assert (next_run.source_of(job), job.expected_interval) == ("learned", "1D")
        assert job.next_expected_at == BEGAN_AT + 26 * DAY

    def test_an_irregular_job_keeps_the_default_until_the_suggestion_is_accepted(self):
        days = (0, 2.3, 2.9, 5.1, 5.6, 8.2, 10.4, 10.9, 13.5)
        job = self.runs(*days)
        assert (next_run.source_of(job), next_run.offered_interval(job)) == ("default", "3D")
        assert job.next_expected_at < BEGAN_AT + 15 * DAY
        job_settings.keep_schedule("machine-1", "photos", actor=SYSTEM, now=BEGAN_AT)
        assert find_job().next_expected_at == BEGAN_AT + timedelta(days=16.5)
        job = self.runs(15)
        assert (job.next_expected_at, job.expected_interval) == (BEGAN_AT + 18 * DAY, "3D")

    def test_a_long_run_is_expected_until_it_ends(self):
        job = self.runs(0, 1, 2, 3, duration_s=5 * 3600.0)
        assert job.overdue_at == BEGAN_AT + 4 * DAY + 8 * HOUR
        job = self.runs(4, duration_s=3600.0, next_scheduled_at=BEGAN_AT + 5 * DAY)
        assert job.overdue_at == BEGAN_AT + 5 * DAY + 7 * HOUR

    def test_missing_schedule_is_reported(self):
        self.runs(0)
        with pytest.raises(Refused, check=lambda error: error.status == 409):
            job_settings.keep_schedule("machine-1", "photos", actor=SYSTEM, now=BEGAN_AT)
        with pytest.raises(Refused, check=lambda error: error.status == 404):
            job_settings.learn_schedule("machine-1", "music", actor=SYSTEM, now=BEGAN_AT)


class TestGracePeriodOfAJob:
    def test_it_precedes_the_global_one(self):
        make_run()
        save("machine-1:photos", overdue_tolerance="6h")
        assert find_job().overdue_at == BEGAN_AT + DAY + 6 * HOUR
        assert find_overdue(BEGAN_AT + DAY + 6 * HOUR) == []
        assert len(find_overdue(BEGAN_AT + DAY + 6 * HOUR + MILLISECOND)) == 1
        overdue_check.save_tolerance("1d", actor=SYSTEM, now=BEGAN_AT)
        assert find_job().overdue_at == BEGAN_AT + DAY + 6 * HOUR
        save("machine-1:photos", overdue_tolerance=None)
        assert find_job().overdue_at == BEGAN_AT + 2 * DAY

    def test_it_determines_how_early_a_run_may_be(self):
        make_run()
        save("machine-1:photos", overdue_tolerance="4h")
        make_run(began_at=BEGAN_AT + DAY - 3 * HOUR)
        assert find_job().next_expected_at == BEGAN_AT + 2 * DAY


def save(key: str, *, expected_at=None, **columns) -> None:
    job_settings.save({key: JobChange(columns, expected_at=expected_at)}, actor=SYSTEM, now=BEGAN_AT)
