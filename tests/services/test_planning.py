"""When a job should run next, after each report and after a change of its interval."""

from datetime import timedelta

import pytest
from factories import BEGAN_AT, find_job, make_run

from app.domain.reports import NOTHING_TOLD
from app.models import Job
from app.services import planning
from app.services.transaction import writing

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture(autouse=True)
def database(db):
    """A database, open for the test."""


def change(job: Job, **values) -> Job:
    with writing() as session:
        job = session.merge(job)
        for name, value in values.items():
            setattr(job, name, value)
        planning.replan(job)
    return find_job()


def test_first_run_is_the_anchor_of_a_daily_plan():
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


def test_what_duplicati_announces_beats_the_grid():
    make_run(next_scheduled_at=BEGAN_AT + 5 * HOUR)
    job = find_job()
    assert (job.next_expected_at, job.schedule_anchor_at) == (BEGAN_AT + 5 * HOUR,) * 2


def test_announcement_of_the_past_gives_way_to_the_grid():
    make_run(next_scheduled_at=BEGAN_AT - HOUR)
    assert find_job().next_expected_at == BEGAN_AT - HOUR + DAY


def test_newer_report_without_an_announcement_drops_the_old_one_but_keeps_its_grid():
    make_run(next_scheduled_at=BEGAN_AT + 5 * HOUR)
    make_run(began_at=BEGAN_AT + 6 * HOUR)
    job = find_job()
    assert job.announced_next_at is None
    assert job.next_expected_at == BEGAN_AT + 5 * HOUR + DAY


def test_report_that_arrives_late_leaves_the_plan_alone():
    make_run(next_scheduled_at=BEGAN_AT + 5 * HOUR)
    make_run(began_at=BEGAN_AT - DAY, next_scheduled_at=BEGAN_AT + 99 * HOUR)
    job = find_job()
    assert (job.next_expected_at, job.schedule_anchor_at) == (BEGAN_AT + 5 * HOUR,) * 2


def test_interval_that_cannot_be_read_gives_no_plan():
    make_run()
    assert change(find_job(), expected_interval="soon").next_expected_at is None


def test_changed_interval_counts_from_the_anchor():
    make_run()
    assert change(find_job(), expected_interval="1W").next_expected_at == BEGAN_AT + 7 * DAY


def test_weekdays_that_are_not_allowed_are_passed_over():
    make_run()  # a Sunday
    monday_excluded = 0b1111101
    assert change(find_job(), allowed_weekdays=monday_excluded).next_expected_at == BEGAN_AT + 2 * DAY


UNSAVED = {"outcome": "aborted", "not_told": NOTHING_TOLD}


def test_the_first_run_that_saved_something_is_the_anchor_whatever_was_tried_before():
    make_run(**UNSAVED)
    make_run(began_at=BEGAN_AT + 5 * HOUR, **UNSAVED)
    make_run(began_at=BEGAN_AT + 9 * HOUR)
    job = find_job()
    assert (job.schedule_anchor_at, job.next_expected_at) == (BEGAN_AT + 9 * HOUR, BEGAN_AT + 9 * HOUR + DAY)


def test_a_later_attempt_that_saved_nothing_does_not_move_the_grid():
    make_run()
    make_run(began_at=BEGAN_AT + 5 * HOUR, **UNSAVED)
    job = find_job()
    assert (job.schedule_anchor_at, job.next_expected_at) == (BEGAN_AT, BEGAN_AT + DAY)


@pytest.mark.parametrize(("away_days", "source"), [(400, "duplicati"), (401, "guess")])
def test_a_grid_that_a_wrong_clock_has_laid_far_away_is_forgotten(away_days, source):
    make_run(now=BEGAN_AT)
    far = BEGAN_AT + away_days * DAY
    job = change(find_job(), announced_next_at=far, schedule_anchor_at=far, schedule_source="duplicati")
    with writing() as session:
        job = session.merge(job)
        planning.forget_wrong_clock(job, None)
        planning.replan(job)
    job = find_job()
    assert job.schedule_source == source
    assert job.next_expected_at == (far if source == "duplicati" else BEGAN_AT + DAY)


def test_a_schedule_of_a_wrong_clock_is_set_back_by_its_error():
    make_run()
    announced = BEGAN_AT + 31 * DAY + HOUR
    job = change(find_job(), announced_next_at=announced, schedule_anchor_at=announced, schedule_source="duplicati")
    with writing() as session:
        job = session.merge(job)
        planning.forget_wrong_clock(job, 30 * DAY)
        planning.replan(job)
    job = find_job()
    assert (job.announced_next_at, job.schedule_anchor_at) == (None, BEGAN_AT + DAY + HOUR)
    assert job.next_expected_at == BEGAN_AT + DAY + HOUR


MINUTE = timedelta(minutes=1)
WORKDAYS = 0b0111110


class TestMissedRuns:
    """The grid begins on a Sunday; the run of Monday is the first that did not come."""

    @pytest.mark.parametrize(
        ("until", "count"),
        [
            (DAY, 0),
            (DAY + 5 * HOUR, 0),
            (2 * DAY - 2 * HOUR, 0),
            (2 * DAY - MINUTE, 1),  # within the grace period of the next one: that is the one it fulfils
            (2 * DAY, 1),
            (4 * DAY, 3),
            (4 * DAY + 20 * HOUR, 3),
            (DAY - 5 * HOUR, 0),
        ],
    )
    def test_every_expected_run_before_that_of_the_run_counts(self, until, count):
        job = Job(schedule_anchor_at=BEGAN_AT, expected_interval="1D", allowed_weekdays=127)
        assert planning.count_missed_runs(job, BEGAN_AT + DAY, BEGAN_AT + until) == count

    def test_days_on_which_it_must_not_run_do_not_count(self):
        job = Job(schedule_anchor_at=BEGAN_AT, expected_interval="1D", allowed_weekdays=WORKDAYS)
        assert planning.count_missed_runs(job, BEGAN_AT + DAY, BEGAN_AT + 8 * DAY) == 5

    def test_each_hour_of_a_long_absence_counts(self):
        job = Job(schedule_anchor_at=BEGAN_AT, expected_interval="1h", allowed_weekdays=127)
        assert planning.count_missed_runs(job, BEGAN_AT + HOUR, BEGAN_AT + 100 * DAY) == 2399

    @pytest.mark.parametrize("interval", ["", "never"])
    def test_a_schedule_that_cannot_be_read_misses_nothing(self, interval):
        job = Job(schedule_anchor_at=BEGAN_AT, expected_interval=interval, allowed_weekdays=127)
        assert planning.count_missed_runs(job, BEGAN_AT, BEGAN_AT + 9 * DAY) == 0
