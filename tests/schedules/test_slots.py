"""The expected slots of a job."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from trials import trial

from app.schedules.intervals import (
    NoSlot,
    Schedule,
    expected_time,
    next_expected,
    parse_interval,
    slots_between,
    weekday_mask,
    weekdays_from_mask,
)

BEGIN_OF_CALENDAR = datetime.min.replace(tzinfo=UTC)
TWO_HOURS = timedelta(hours=2)
# A busy computer is no fault of a rule.
unhurried = trial()
FIRST_AT = datetime(2015, 1, 1, tzinfo=UTC)
INSTANTS = st.integers(0, 800_000_000_000).map(lambda count: FIRST_AT + timedelta(milliseconds=count))
INTERVALS = st.sampled_from(
    ["1s", "90", "15m", "1h", "5h", "23h59m", "24h", "1D", "36h", "3D", "1W", "2W", "1M", "1M1D", "1D1M", "6M", "1Y"]
).map(parse_interval)
# Those that keep the time of day, or are below a day: moved slots stay in the order of the grid.
ORDERLY = st.sampled_from(["90", "15m", "5h", "23h59m", "24h", "1D", "3D", "1W", "1M", "1Y"]).map(parse_interval)
WEEKDAYS = st.sets(st.integers(0, 6))
TOLERANCES = st.sampled_from([0, 5, 30, 120, 1440]).map(lambda minutes: timedelta(minutes=minutes))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def next_run(
    last_run: str, anchor: str, interval: str, weekdays: tuple[int, ...] = (), tolerance: timedelta = TWO_HOURS
) -> datetime:
    return next_expected(at(last_run), at(anchor), parse_interval(interval), weekdays, tolerance=tolerance)


def weekday(instant: datetime) -> int:
    return instant.isoweekday() % 7


@pytest.mark.parametrize(
    ("weekdays", "mask"),
    [([], 0b1111111), (range(7), 0b1111111), ([0], 0b1), ([6], 0b1000000), ([5, 1, 3], 0b101010), ([1, 7, -1], 0b10)],
)
def test_mask_has_a_bit_for_each_weekday_from_sunday(weekdays: list[int], mask: int) -> None:
    assert weekday_mask(weekdays) == mask


def test_weekdays_without_a_valid_number_have_no_mask() -> None:
    with pytest.raises(ValueError, match="expected a weekday"):
        weekday_mask([7])


@unhurried
@given(weekdays=st.sets(st.integers(0, 6), min_size=1))
def test_weekdays_are_decoded_from_their_mask_in_order(weekdays: set[int]) -> None:
    assert weekdays_from_mask(weekday_mask(weekdays)) == tuple(sorted(weekdays))


@pytest.mark.parametrize(
    ("last_run", "expected"),
    [
        ("2026-01-05T14:03", "2026-01-06T14:00"),  # on time
        ("2026-01-05T13:59", "2026-01-06T14:00"),  # a minute early
        ("2026-01-05T12:00:00.001", "2026-01-06T14:00"),  # a second within the tolerance
        ("2026-01-05T12:00", "2026-01-05T14:00"),  # exactly the tolerance is too early
        ("2026-01-05T22:00", "2026-01-06T14:00"),  # manually, in the evening
        ("2026-01-05T02:00", "2026-01-05T14:00"),  # manually, at night
    ],
)
def test_daily_run_fulfils_the_slot_it_follows_and_one_just_ahead(last_run: str, expected: str) -> None:
    assert next_run(last_run, "2026-01-01T14:00", "1D") == at(expected)


@pytest.mark.parametrize(
    ("last_run", "expected"), [("2026-01-05T14:45", "2026-01-05T15:00"), ("2026-01-05T14:46", "2026-01-05T16:00")]
)
def test_run_of_a_short_interval_may_be_early_by_a_quarter_at_most(last_run: str, expected: str) -> None:
    assert next_run(last_run, "2026-01-01T00:00", "1h") == at(expected)


@pytest.mark.parametrize(
    ("last_run", "expected"),
    [
        ("2026-01-05T13:59:58.999", "2026-01-05T14:00"),
        ("2026-01-05T13:59:59", "2026-01-06T14:00"),  # the original counts only its base here
        ("2026-01-05T13:59:59.001", "2026-01-06T14:00"),
    ],
)
def test_without_tolerance_a_run_may_be_a_second_early(last_run: str, expected: str) -> None:
    assert next_run(last_run, "2026-01-01T14:00", "1D", tolerance=timedelta()) == at(expected)


def test_tolerance_counts_a_second_before_the_anchor_as_early_too() -> None:
    assert next_run("2026-01-01T13:59:59", "2026-01-01T14:00", "1D") == at("2026-01-02T14:00")


def test_manual_run_does_not_change_a_weekly_schedule() -> None:
    assert next_run("2026-01-08T22:00", "2025-12-29T14:00", "1W") == at("2026-01-12T14:00")


def test_grid_extends_back_from_an_anchor_in_the_future() -> None:
    assert next_run("2026-01-03T22:00", "2026-02-20T14:00", "1D") == at("2026-01-04T14:00")


def test_early_friday_run_is_followed_by_monday() -> None:
    assert next_run("2026-01-09T13:30", "2026-01-01T14:00", "1D", (1, 2, 3, 4, 5)) == at("2026-01-12T14:00")


def test_run_just_before_a_moved_slot_fulfils_it() -> None:
    # Every Saturday, moved to Monday the 12th.
    assert next_run("2026-01-12T13:30", "2026-01-03T14:00", "1W", (1,)) == at("2026-01-19T14:00")


def test_leap_day_returns_in_leap_years() -> None:
    assert next_run("2031-06-01T00:00", "2028-02-29T08:00", "1Y") == at("2032-02-29T08:00")


def test_weekday_is_that_of_the_utc_day() -> None:
    sunday_in_utc = datetime(2026, 1, 5, 0, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    last_run_at = sunday_in_utc - timedelta(hours=20)
    assert next_expected(last_run_at, sunday_in_utc, parse_interval("1D"), (0,)) == sunday_in_utc


@pytest.mark.parametrize(("interval", "weekdays"), [("0", ()), ("1D", (7,)), ("1h", (-1, 7))])
def test_schedule_that_never_runs_is_rejected(interval: str, weekdays: tuple[int, ...]) -> None:
    with pytest.raises(NoSlot):
        next_run("2026-01-02T14:00", "2026-01-01T14:00", interval, weekdays)
    with pytest.raises(NoSlot):
        slots_between(
            BEGIN_OF_CALENDAR, at("2026-01-02"), at("2026-01-01"), parse_interval(interval), weekdays, limit=1
        )


@pytest.mark.parametrize("last_run", ["9999-12-31T22:00", "9990-01-01T00:00"])
def test_schedule_beyond_the_calendar_is_rejected(last_run: str) -> None:
    with pytest.raises(NoSlot, match="out of the range of dates"):
        next_run(last_run, "2026-01-01T14:00", "999Y")


def test_schedule_of_a_second_is_found_far_from_its_anchor_without_counting() -> None:
    interval = parse_interval("1s")
    assert next_expected(at("2026-01-06T12:00"), at("1990-01-01"), interval, (1,)) == at("2026-01-12T00:00")


def test_job_without_a_run_is_expected_at_its_anchor() -> None:
    assert expected_time(None, Schedule(at("2026-01-04T14:00"), "1D"), tolerance=timedelta()) == at("2026-01-04T14:00")


@pytest.mark.parametrize("interval", ["foo", "", "0"])
def test_schedule_of_a_job_with_invalid_settings_is_unknown(interval: str) -> None:
    schedule = Schedule(at("2026-01-04T14:00"), interval)
    assert expected_time(at("2026-01-04T14:03"), schedule, tolerance=timedelta()) is None


@unhurried
@given(last_run_at=INSTANTS, anchor_at=INSTANTS, interval=INTERVALS, weekdays=WEEKDAYS, tolerance=TOLERANCES)
def test_expected_run_is_after_the_run_and_on_an_allowed_day(
    last_run_at, anchor_at, interval, weekdays, tolerance
) -> None:
    expected_at = next_expected(last_run_at, anchor_at, interval, weekdays, tolerance=tolerance)
    assert expected_at >= last_run_at + max(timedelta(seconds=1), min(tolerance, interval.size / 4))
    assert not weekdays or weekday(expected_at) in weekdays


@unhurried
@given(last_run_at=INSTANTS, anchor_at=INSTANTS, interval=INTERVALS, tolerance=TOLERANCES)
def test_expected_run_is_the_next_point_of_the_grid_when_all_days_are_allowed(
    last_run_at, anchor_at, interval, tolerance
) -> None:
    expected_at = next_expected(last_run_at, anchor_at, interval, tolerance=tolerance)
    index = interval.first_index(anchor_at, expected_at)
    assert interval.after(anchor_at, index) == expected_at
    early = max(timedelta(seconds=1), min(tolerance, interval.size / 4))
    assert interval.after(anchor_at, index - 1) <= last_run_at + early


@unhurried
@given(
    runs=st.tuples(INSTANTS, st.timedeltas(timedelta(), timedelta(days=40))),
    anchor_at=INSTANTS,
    interval=ORDERLY,
    weekdays=WEEKDAYS,
    tolerance=TOLERANCES,
)
def test_later_run_is_never_expected_earlier(runs, anchor_at, interval, weekdays, tolerance) -> None:
    earlier_at, distance = runs
    first = next_expected(earlier_at, anchor_at, interval, weekdays, tolerance=tolerance)
    second = next_expected(earlier_at + distance, anchor_at, interval, weekdays, tolerance=tolerance)
    assert first <= second


@unhurried
@given(last_run_at=INSTANTS, anchor_at=INSTANTS, interval=INTERVALS, weekdays=WEEKDAYS)
def test_zone_of_the_times_makes_no_difference(last_run_at, anchor_at, interval, weekdays) -> None:
    london, new_york = ZoneInfo("Europe/London"), ZoneInfo("America/New_York")
    assert next_expected(
        last_run_at.astimezone(london), anchor_at.astimezone(new_york), interval, weekdays
    ) == next_expected(last_run_at, anchor_at, interval, weekdays)


@unhurried
@given(last_run_at=INSTANTS, anchor_at=INSTANTS, interval=ORDERLY, moved=st.integers(-30, 30))
def test_any_point_of_the_grid_is_an_equivalent_anchor(last_run_at, anchor_at, interval, moved) -> None:
    assume(not interval.is_calendar or anchor_at.day <= 28)
    assume((anchor_at - last_run_at) % timedelta(seconds=1))  # apart from the exact second of the API
    other_at = interval.after(anchor_at, moved)
    assert next_expected(last_run_at, other_at, interval) == next_expected(last_run_at, anchor_at, interval)


@pytest.mark.parametrize("late_minutes", [-90, 0, 3, 600])
def test_runs_early_or_late_do_not_drift_over_24_months(late_minutes: int) -> None:
    anchor_at, interval = at("2026-01-31T08:00"), parse_interval("1M")
    expected_at = anchor_at
    for count in range(1, 25):
        run_at = expected_at + timedelta(minutes=late_minutes)
        expected_at = next_expected(run_at, anchor_at, interval, tolerance=TWO_HOURS)
        assert expected_at == interval.after(anchor_at, count)


def test_newest_slots_are_the_newest_before_the_end_oldest_first() -> None:
    slots = slots_between(
        BEGIN_OF_CALENDAR, at("2026-01-05T14:00"), at("2026-02-01T14:00"), parse_interval("1D"), limit=3
    )
    assert slots == [at("2026-01-02T14:00"), at("2026-01-03T14:00"), at("2026-01-04T14:00")]


def test_newest_slots_of_a_daily_schedule_on_mondays_are_mondays() -> None:
    slots = slots_between(
        BEGIN_OF_CALENDAR, at("2026-01-14T00:00"), at("2026-01-01T14:00"), parse_interval("1D"), (1,), limit=2
    )
    assert slots == [at("2026-01-05T14:00"), at("2026-01-12T14:00")]


def test_newest_slots_of_an_hourly_schedule_skip_forbidden_days() -> None:
    slots = slots_between(
        BEGIN_OF_CALENDAR, at("2026-01-14T00:00"), at("2026-01-01T00:30"), parse_interval("1h"), (1,), limit=25
    )
    assert (slots[0], slots[1], slots[-1]) == (at("2026-01-05T23:30"), at("2026-01-12T00:30"), at("2026-01-12T23:30"))


def test_newest_slots_stop_at_the_edge_of_the_calendar() -> None:
    assert (
        len(slots_between(BEGIN_OF_CALENDAR, at("2026-01-01"), at("2026-01-01"), parse_interval("900Y"), limit=50)) == 2
    )


def test_slots_between_include_the_start_and_not_the_end() -> None:
    slots = slots_between(at("2026-01-02"), at("2026-01-04"), at("2026-01-01"), parse_interval("1D"))
    assert slots == [at("2026-01-02"), at("2026-01-03")]


def test_slots_between_are_limited_to_the_newest() -> None:
    slots = slots_between(at("2025-01-01"), at("2026-01-01"), at("2020-01-01"), parse_interval("1s"), limit=5)
    assert slots == [at("2026-01-01") - timedelta(seconds=seconds) for seconds in (5, 4, 3, 2, 1)]


@unhurried
@given(end_at=INSTANTS, anchor_at=INSTANTS, interval=ORDERLY, weekdays=WEEKDAYS)
def test_newest_slots_are_successive_expected_times(end_at, anchor_at, interval, weekdays) -> None:
    slots = slots_between(BEGIN_OF_CALENDAR, end_at, anchor_at, interval, weekdays, limit=5)
    planned = [next_expected(slot, anchor_at, interval, weekdays) for slot in slots]
    assert planned[:-1] == slots[1:]
    assert planned[-1] >= end_at
