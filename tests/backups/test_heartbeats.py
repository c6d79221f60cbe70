"""The heartbeat bar of a job: a heartbeat for each run, a gap for each expected run that did not arrive."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.backups.heartbeats import heartbeats
from app.reports.outcomes import recent_runs
from app.schedules.intervals import Schedule, weekday_mask

MONDAY = datetime(2031, 5, 5, 2, 0, tzinfo=UTC)
DAILY = Schedule(MONDAY, "1D", weekday_mask(()))


def runs(*days: float, status: str = "Success") -> list:
    begins = [MONDAY + timedelta(days=day, seconds=9) for day in days]
    return [run for began_at in begins for run in recent_runs(began_at, status, 60.0, 1, 1, 1)]


def letters(*days: float, plan: Schedule | None = DAILY, slots: int = 30, **rest) -> str:
    return "".join(beat.letter for beat in heartbeats(runs(*days), plan, slots=slots, **rest))


@pytest.mark.parametrize(
    ("days", "pulse"),
    [
        ((), ""),
        ((0, 1, 2), "SSS"),
        ((0, 1, 3), "SSMS"),
        ((0, 4), "SMMMS"),
        ((0, 0.3, 0.6, 1), "SSSS"),  # started manually, in between
        ((0, 1.8, 3), "SMSS"),  # five hours early: the run of day two
        ((0, 1, 2.04, 3.04), "SSSS"),  # the clocks were set back
        ((0, 1, 1.96, 2.96), "SSSS"),  # or forward
    ],
)
def test_a_missed_run_is_a_gap(days, pulse):
    assert letters(*days) == pulse


def test_days_off_have_no_missed_runs():
    working_days = Schedule(MONDAY, "1D", weekday_mask((1, 2, 3, 4, 5)))
    assert letters(3, 4, 7, 8, plan=working_days) == "SSSS"
    assert letters(3, 7, plan=working_days) == "SMS"


@pytest.mark.parametrize(("interval", "days"), [("1W", (0, 7, 21)), ("12h", (0, 0.5, 1.5)), ("1M", (0, 31, 92))])
def test_any_interval_has_its_slots(interval, days):
    assert letters(*days, plan=replace(DAILY, interval_text=interval)) == "SSMS"


@pytest.mark.parametrize("plan", [None, replace(DAILY, interval_text="often"), replace(DAILY, interval_text="0")])
def test_without_a_schedule_nothing_is_missed(plan):
    assert letters(0, 5, plan=plan) == "SS"


def test_an_overdue_job_ends_with_gaps_until_now():
    late = {"missing_since": MONDAY + timedelta(days=2), "due_until": MONDAY + timedelta(days=3, hours=1)}
    assert letters(0, 1, **late) == "SSMM"


def test_a_long_silence_keeps_the_previous_runs_visible():
    late = {"missing_since": MONDAY + timedelta(days=30), "due_until": MONDAY + timedelta(days=59)}
    beats = heartbeats(runs(*range(30)), DAILY, slots=9, **late)
    assert "".join(beat.letter for beat in beats) == "SSSSSSMMM"
    assert [beat.run_count for beat in beats[-3:]] == [28, 1, 1]
    assert beats[-3].at == late["missing_since"]


def test_bar_has_no_more_heartbeats_than_slots():
    assert letters(*range(31), slots=10) == "S" * 10


def test_gaps_have_the_expected_time():
    (_, gap, _) = heartbeats(runs(0, 2), DAILY, slots=10)
    assert gap.at == MONDAY + timedelta(days=1)


def with_letters(*pairs: tuple[float, str]) -> list:
    """Return runs of these days, each with its letter."""
    return [run._replace(letter=letter) for day, letter in pairs for run in runs(day)]


@pytest.mark.parametrize("letter", ["A", "D", "B"])
@pytest.mark.parametrize(
    ("days", "pulse"),
    [
        ((0, 1, 3), "SSxS"),  # in the missed slot
        ((0, 1.2, 3), "SxMS"),  # a little late for it
        ((0, 1.5, 3), "SMxMS"),  # between two slots
        ((0, 3), "SMMS"),
    ],
)
def test_an_unsaved_run_fills_no_slot_and_replaces_its_gap(letter, days, pulse):
    if days == (0, 1, 3):
        made = with_letters((0, "S"), (1, "S"), (2, letter), (3, "S"))
    else:
        made = with_letters(*((day, "S" if day in (0, 3) else letter) for day in days))
    beats = heartbeats(made, DAILY, slots=30)
    assert "".join(beat.letter for beat in beats) == pulse.replace("x", letter)
    assert [beat.at for beat in beats] == sorted(beat.at for beat in beats)


def test_a_gap_of_several_slots_is_kept_next_to_an_unsaved_run():
    made = with_letters((0, "S"), (2, "A"), (9, "S"))
    beats = heartbeats(made, DAILY, slots=9)
    assert [(beat.letter, beat.run_count) for beat in beats] == [
        ("S", 1),
        ("M", 6),
        ("A", 1),
        ("M", 1),
        ("M", 1),
        ("S", 1),
    ]


def test_unsaved_runs_count_among_the_slots_of_the_bar():
    made = with_letters(*((day, "A" if day % 2 else "S") for day in range(10)))
    assert len(heartbeats(made, None, slots=6)) == 6
    assert "".join(beat.letter for beat in heartbeats(made, None, slots=6)) == "SASASA"


def test_a_job_without_saved_runs_shows_all_runs():
    assert "".join(beat.letter for beat in heartbeats(with_letters((0, "A"), (1, "D")), DAILY, slots=9)) == "AD"
