"""Missed runs, growth, and the chart of a digest."""

import struct
import zlib
from datetime import UTC, date, datetime, timedelta

import pytest

from app.notifications.digest_content import (
    FAILED,
    FINE,
    HEIGHT,
    WIDTH,
    DigestDay,
    draw_digest,
    largest_growth,
    missed_slots,
    short_size,
    sparkline,
)
from app.schedules.intervals import Schedule

DAY = timedelta(days=1)
START = datetime(2031, 4, 28, tzinfo=UTC)
END = START + 7 * DAY
ANCHOR = datetime(2031, 1, 1, 2, tzinfo=UTC)


def missed(runs, start=START, end=END, interval="1D", mask=127):
    return missed_slots(sorted(runs), start, end, Schedule(ANCHOR, interval, mask))


def at_two(*days: int) -> list[datetime]:
    return [START + timedelta(days=day, hours=2, minutes=3) for day in days]


def test_nothing_is_missed_when_every_slot_has_its_run():
    assert missed(at_two(*range(-1, 8))) == []


def test_a_slot_without_a_run_is_missed():
    assert missed(at_two(0, 1, 3, 4, 6)) == [START + timedelta(days=day, hours=2) for day in (2, 5)]


@pytest.mark.parametrize("shift", [timedelta(hours=-1), timedelta(hours=1), timedelta(hours=-6), timedelta(hours=17)])
def test_an_early_or_late_run_counts_for_its_slot(shift):
    assert missed([run + shift for run in at_two(*range(-1, 8))]) == []


def test_a_run_after_the_end_may_count_for_the_last_slot():
    assert missed([END + timedelta(hours=2)], interval="1W") == []
    assert len(missed([END + timedelta(days=2)], interval="1W")) == 1


def test_days_without_schedule_are_not_missed():
    weekdays = 0b0111110
    assert missed([], mask=weekdays) == [START + timedelta(days=day, hours=2) for day in range(5)]


def test_a_longer_interval_has_fewer_slots():
    assert len(missed([], interval="1W")) == 1
    assert len(missed([], interval="12h")) == 14


@pytest.mark.parametrize("interval", ["", "nonsense", "0"])
def test_an_unreadable_schedule_has_no_missed_runs(interval):
    assert missed([], interval=interval) == []


@pytest.mark.parametrize(
    ("values", "line"),
    [([1, 2, 3], "▁▅█"), ([5, 5], "▁▁"), ([None, 1, 2], "▁▁█"), ([1], ""), ([], ""), ([None, None], "")],
)
def test_a_series_as_blocks(values, line):
    assert sparkline(values) == line


def test_the_jobs_with_the_largest_growth_are_first():
    assert largest_growth({1: 10, 2: 50, 3: 5}, {1: 12, 2: 40, 3: 30, 4: 7}, limit=2) == [(3, 25, 30), (4, 7, 7)]


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(0, "0B"), (999, "999B"), (1000, "1.0KB"), (640 * 1024**3, "640GB"), (1.24e12, "1.1TB")]
)
def test_sizes_on_the_axis_are_short(size_bytes, text):
    assert short_size(size_bytes) == text


def pixels(png: bytes) -> list[bytes]:
    """Return the rows of palette numbers, decoded by the standard, with every checksum verified."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    place, chunks = 8, {}
    while place < len(png):
        length, kind = struct.unpack(">I4s", png[place : place + 8])
        content = png[place + 8 : place + 8 + length]
        assert struct.unpack(">I", png[place + 8 + length : place + 12 + length])[0] == zlib.crc32(kind + content)
        chunks[kind] = content
        place += 12 + length
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    assert (width, height) == (WIDTH, HEIGHT)
    raw = zlib.decompress(chunks[b"IDAT"])
    return [raw[row * (width + 1) + 1 : (row + 1) * (width + 1)] for row in range(height)]


def test_the_chart_shows_the_results_of_runs():
    days = [DigestDay(date(2031, 5, day), 9, 0, day % 2, 0, day * 1e9) for day in range(1, 31)]
    flat = b"".join(pixels(draw_digest(days)))
    assert flat.count(FINE) > 10 * flat.count(FAILED) > 0


def test_days_without_runs_draw_an_empty_chart():
    flat = b"".join(pixels(draw_digest([DigestDay(date(2031, 5, 1), 0, 0, 0, 0, None)])))
    assert flat.count(FINE) == flat.count(FAILED) == 0
    assert len(draw_digest([])) > 100
