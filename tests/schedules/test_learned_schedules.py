"""Learned schedules: what is learned, from how many runs, and what is not."""

from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trials import trial

from app.schedules.intervals import parse_interval, weekday_mask, weekdays_from_mask
from app.schedules.learned import LearnedSchedule, learn, steady_time, usual_distance

BERLIN = ZoneInfo("Europe/Berlin")
ZONE = BERLIN.key
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
# A Tuesday.
START = datetime(2026, 9, 1, tzinfo=BERLIN)
GRACE = timedelta(hours=2)
EVERY_DAY, WORKING_DAYS = weekday_mask(()), weekday_mask((1, 2, 3, 4, 5))


def days(count: int, hours: float = 5.5, is_on: Callable[[datetime], bool] = lambda _: True, after: int = 0):
    """Return the times, in Berlin, of the days on which a job runs."""
    found: list[datetime] = []
    day = START + after * DAY
    while len(found) < count:
        if is_on(day):
            found.append((day + timedelta(hours=hours)).astimezone(UTC))
        day += DAY
    return found


def learned_pattern(begins: list[datetime]) -> tuple[str, str, str] | None:
    """Return interval, time of day in Berlin, and weekdays of what is learned."""
    found = learn(begins, ZONE)
    if found is None:
        return None
    letters = "".join("SMTWTFS"[day] for day in weekdays_from_mask(found.weekdays))
    return found.interval, f"{found.anchor_at.astimezone(BERLIN):%H:%M}", letters


SHORT = {"36h": 36 * HOUR, "18h": 18 * HOUR, "12h": 12 * HOUR, "6h": 6 * HOUR, "1h": HOUR, "15m": 15 * MINUTE}


class TestRegularJobs:
    def test_four_matching_runs_are_enough_and_three_are_not(self):
        assert learned_pattern(days(3)) is None
        assert learned_pattern(days(4)) == ("1D", "05:30", "SMTWTFS")

    def test_the_first_manual_run_is_not_counted(self):
        by_hand = [(START + 14 * HOUR).astimezone(UTC)]
        assert learned_pattern(by_hand + days(3, after=1)) is None
        assert learned_pattern(by_hand + days(4, after=1)) == ("1D", "05:30", "SMTWTFS")

    @pytest.mark.parametrize(
        ("is_on", "count", "expected"),
        [
            (lambda day: day.weekday() < 5, 6, ("1D", "05:30", "MTWTF")),
            (lambda day: day.weekday() in (0, 2, 4), 5, ("1D", "05:30", "MWF")),
            (lambda day: day.weekday() in (1, 3), 6, ("1D", "05:30", "TT")),
            (lambda day: day.weekday() > 4, 8, ("1D", "05:30", "SS")),
            (lambda day: day.weekday() == 2, 4, ("1W", "05:30", "SMTWTFS")),
            (lambda day: day.toordinal() % 2, 4, ("2D", "05:30", "SMTWTFS")),
            (lambda day: day.toordinal() % 14 == 0, 4, ("2W", "05:30", "SMTWTFS")),
            (lambda day: day.day == 1, 4, ("1M", "05:30", "SMTWTFS")),
        ],
    )
    def test_patterns_of_days(self, is_on, count, expected):
        assert learned_pattern(days(count, is_on=is_on)) == expected
        assert learned_pattern(days(25, is_on=is_on)) == expected

    def test_a_job_at_the_end_of_each_month_is_monthly_at_the_end(self):
        begins = days(9, is_on=lambda day: day.day == monthrange(day.year, day.month)[1])
        found = learn(begins, ZONE)
        assert found is not None
        assert found.interval == "1M"
        expected = found.schedule().next_after(begins[-1], GRACE).astimezone(BERLIN)
        assert f"{expected:%Y-%m-%d %H:%M}" == "2027-06-30 05:30"

    @pytest.mark.parametrize(("interval", "length"), SHORT.items())
    def test_shorter_intervals(self, interval, length):
        found = learn([START.astimezone(UTC) + number * length for number in range(8)], ZONE)
        assert found is not None
        assert found.interval == interval

    def test_summer_time_changes_nothing(self):
        begins = days(20, after=40)  # across 25 October
        found = learn(begins, ZONE)
        assert found is not None
        assert (found.spread_s, found.run_count) == (0, 20)
        assert found.schedule().next_after(begins[0], GRACE) == begins[1]
        assert all(found.schedule().next_after(run, GRACE) == after for run, after in pairwise(begins))


class TestExceptions:
    def test_a_manual_run_and_an_outage_change_nothing(self):
        begins = [*days(10), (START + 9 * DAY + 15 * HOUR).astimezone(UTC), *days(5, after=20)]
        assert learned_pattern(begins) == ("1D", "05:30", "SMTWTFS")

    def test_an_outage_of_two_weeks_does_not_create_days_off(self):
        begins = [*days(10), *days(3, after=24)]
        assert learned_pattern(begins) == ("1D", "05:30", "SMTWTFS")

    def test_a_vacation_of_a_job_on_working_days_changes_nothing(self):
        begins = days(12, is_on=lambda day: day.weekday() < 5) + days(4, is_on=lambda day: day.weekday() < 5, after=34)
        assert learned_pattern(begins) == ("1D", "05:30", "MTWTF")


class TestDaysOff:
    @pytest.mark.parametrize("free", range(7))
    @pytest.mark.parametrize("count", [18, 25, 31])
    def test_one_weekday_off_stays_off(self, free, count):
        begins = days(60, is_on=lambda day: day.weekday() != free)
        while (begins[-1] + 12 * HOUR).astimezone(BERLIN).weekday() != (free - 1) % 7:
            begins.pop()
        found = learn(begins[-count:], ZONE)
        assert found is not None
        assert found.schedule().next_after(begins[-1], GRACE) == begins[-1] + 2 * DAY

    def test_a_manual_run_on_a_day_off_does_not_change_the_schedule(self):
        begins = days(20, hours=19, is_on=lambda day: day.weekday() < 5)
        by_hand = [(START + 11 * DAY + 11 * HOUR).astimezone(UTC), (START + 18 * DAY + 13 * HOUR).astimezone(UTC)]
        assert learned_pattern(sorted(begins + by_hand)) == ("1D", "19:00", "MTWTF")

    def test_many_manual_runs_do_not_hide_a_weekly_job(self):
        begins = days(9, hours=3, is_on=lambda day: day.weekday() == 2)
        by_hand = [(START + day * DAY + 15 * HOUR).astimezone(UTC) for day in (4, 13, 25, 33, 41)]
        assert learned_pattern(sorted(begins + by_hand)) == ("1W", "03:00", "SMTWTFS")


class TestChanges:
    def test_another_time_of_day_after_four_runs(self):
        assert learned_pattern(days(20, hours=3) + days(3, after=20)) == ("1D", "03:00", "SMTWTFS")
        assert learned_pattern(days(20, hours=3) + days(4, after=20)) == ("1D", "05:30", "SMTWTFS")

    def test_until_then_the_new_time_is_allowed(self):
        found = learn(days(20, hours=3) + days(1, after=20), ZONE)
        assert found is not None
        assert found.late_s >= 2.5 * 3600

    def test_daily_becomes_weekly(self):
        weekly = days(5, is_on=lambda day: day.weekday() == 2, after=22)
        found = learn(days(20) + weekly[:4], ZONE)
        assert found is not None
        assert found.schedule().next_after(weekly[3], GRACE) == weekly[4]

    def test_daily_becomes_working_days_after_two_weekends(self):
        begins = days(20) + days(11, is_on=lambda day: day.weekday() < 5, after=20)
        assert learned_pattern(begins) == ("1D", "05:30", "MTWTF")

    def test_working_days_become_daily_again(self):
        begins = days(20, is_on=lambda day: day.weekday() < 5)
        later = [begins[-1] + number * DAY for number in range(1, 8)]
        assert learned_pattern(begins + later) == ("1D", "05:30", "SMTWTFS")


class TestIrregularJobs:
    @pytest.mark.parametrize("seed", range(20))
    def test_a_laptop_has_no_schedule_and_gets_a_suggestion(self, seed):
        chance, at = Random(seed), START.astimezone(UTC)
        begins = []
        for _ in range(31):
            at += timedelta(hours=chance.choice([9, 15, 30, 55, 70, 100]) + chance.uniform(-4, 4))
            begins.append(at)
        assert learn(begins, ZONE) is None
        assert usual_distance(begins) in ("3D", "4D", "5D")

    def test_too_few_runs_give_no_suggestion(self):
        assert usual_distance(days(7)) is None

    def test_one_long_pause_does_not_widen_the_suggestion(self):
        begins = [START.astimezone(UTC) + number * 2 * DAY for number in range(10)]
        assert usual_distance([*begins, begins[-1] + 20 * DAY]) == "2D"

    def test_a_few_runs_at_one_time_with_weeks_between_are_no_schedule(self):
        # As in a recorded exchange of the original, which expects the default interval here.
        for minutes in (
            (-57722, -8762, -4442, -3002, -83, -67),
            (-30422, -18902, -8822, -4502, -3062, -1622),
            (-57842, -30482, -18962, -8882, -3122, -1682),
        ):
            for day in range(7):
                begins = [START.astimezone(UTC) + day * DAY + minute * MINUTE for minute in minutes]
                assert learn(begins, "UTC") is None


class TestZones:
    def test_an_assumed_zone_allows_for_summer_time(self):
        known, assumed = (learn(days(10), ZONE, is_zone_known=is_known) for is_known in (True, False))
        assert known is not None
        assert assumed is not None
        assert (known.late_s, known.early_s) == (600, 0)
        assert (assumed.late_s, assumed.early_s) == (3600, 3600)

    def test_an_offset_is_a_zone(self):
        begins = [datetime(2026, 9, 1, 0, tzinfo=UTC) + number * DAY for number in range(6)]
        found = learn(begins, "+05:30")
        assert found is not None
        assert found.anchor_at == begins[-1]
        assert found.schedule().next_after(begins[-1], GRACE) == begins[-1] + DAY


class TestStored:
    def test_stored_schedule_is_read_unchanged(self):
        found = learn(days(6), ZONE)
        assert found is not None
        assert LearnedSchedule.read(found.stored()) == found

    @pytest.mark.parametrize("stored", [None, {}, {"at_least": "3D"}, {"anchor": "x"}, {"interval": "1D"}])
    def test_nothing_is_read_as_none(self, stored):
        assert LearnedSchedule.read(stored) is None

    @pytest.mark.parametrize(
        "change",
        [
            {"zone": "No/Where"},
            {"interval": "soon"},
            {"interval": "0"},
            {"weekdays": 0},
            {"anchor": 1e30},
            {"anchor": "x"},
        ],
    )
    def test_invalid_text_is_read_as_none(self, change):
        found = learn(days(6), ZONE)
        assert found is not None
        assert LearnedSchedule.read({**found.stored(), **change}) is None


class TestTimeOfDay:
    def test_three_consecutive_runs_are_a_better_estimate_than_the_first_run(self):
        assert steady_time(days(3), parse_interval("1D")) == days(3)[-1]
        assert steady_time(days(2), parse_interval("1D")) is None

    def test_runs_30_minutes_apart_give_none(self):
        begins = days(3)
        begins[1] += 30 * MINUTE
        assert steady_time(begins, parse_interval("1D")) is None

    def test_runs_within_one_slot_give_none(self):
        at = START.astimezone(UTC)
        assert steady_time([at, at + MINUTE, at + 2 * MINUTE], parse_interval("1D")) is None


SIZES = {"1h": HOUR, "12h": 12 * HOUR, "1D": DAY, "2D": 2 * DAY, "1W": 7 * DAY}


@trial(150)
@given(
    interval=st.sampled_from(sorted(SIZES)),
    start=st.integers(0, 730 * 86_400),
    shares=st.lists(st.floats(-0.02, 0.02), min_size=4, max_size=40),
)
def test_runs_near_a_grid_show_that_grid(interval: str, start: int, shares: list[float]) -> None:
    size = SIZES[interval]
    slots = [START.astimezone(UTC) + timedelta(seconds=start) + number * size for number in range(len(shares))]
    found = learn([slot + size * share for slot, share in zip(slots, shares, strict=True)], "UTC")
    assert found is not None
    assert found.interval == interval
    distance = (found.anchor_at - slots[0]) / size
    assert abs(distance - round(distance)) <= 0.03
    following = found.schedule().next_after(slots[-1] + size * shares[-1], GRACE)
    assert abs((following - slots[-1]) / size - 1) < 0.05


@trial(200)
@given(st.lists(st.integers(60, 40 * 86_400), min_size=0, max_size=40), st.sampled_from(["UTC", ZONE, "-03:30"]))
def test_any_runs_give_a_usable_schedule_or_none(gaps: list[int], zone: str) -> None:
    begins = [START.astimezone(UTC)]
    for gap in gaps:
        begins.append(begins[-1] + timedelta(seconds=gap))
    found = learn(begins, zone)
    if found is None:
        return
    assert len(begins) >= 4
    size_s = parse_interval(found.interval).size.total_seconds()
    assert 0 <= found.early_s <= 0.5 * size_s * 1.02
    assert 0 < found.late_s <= 0.6 * size_s * 1.02
    assert found.schedule().next_after(begins[-1], GRACE) > begins[-1]
