"""The results of the original program, case by case; for intended differences our result and the row of it."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.schedules.intervals import (
    BadInterval,
    NoSlot,
    Schedule,
    expected_time,
    is_strict,
    next_expected,
    parse_interval,
    weekday_mask,
)
from app.schedules.next_run import deadline
from app.schedules.overdue import DEFAULT_TOLERANCE, TOLERANCES, is_overdue

ROOT = Path(__file__).parents[2]
CASE_FILE = ROOT / "tests" / "data" / "overdue-cases.json"
CASES = {case["id"]: case for case in json.loads(CASE_FILE.read_text(encoding="utf-8"))["cases"]}
assert CASES, f"no cases in {CASE_FILE}"

PLAN = "expected time of a job"
MONTHS = "months and years"
TOLERANCE = "grace period"
BAD = "one job with a bad interval"

# Case id: our result, and the row of the deviations that changes it.
DIFFERENT: dict[int, tuple[Any, str]] = {
    2: ("2026-01-03T14:00:00.000Z", PLAN),  # the grid also extends back from an anchor in the future
    15: ("2026-03-01T10:00:00.000Z", MONTHS),
    20: ("2026-02-28T08:00:00.000Z", MONTHS),
    21: ("2026-02-28T08:00:00.000Z", MONTHS),
    23: ("2026-04-30T08:00:00.000Z", MONTHS),
    24: ("2026-05-31T08:00:00.000Z", MONTHS),
    25: ("2029-02-28T08:00:00.000Z", MONTHS),
    26: ("2027-02-28T08:00:00.000Z", MONTHS),
    27: ("2027-02-28T23:00:00.000Z", MONTHS),
    29: ("2026-11-30T08:00:00.000Z", MONTHS),
    61: ("2026-11-30T12:00:00.000Z", MONTHS),
    65: ("2026-03-29T02:30:00.000Z", TOLERANCE),
    67: ("2026-03-29T12:00:00.000Z", TOLERANCE),
    68: ("2026-10-25T01:30:00.000Z", TOLERANCE),
    69: ("2026-10-25T01:35:00.000Z", TOLERANCE),
    71: ("2026-03-08T08:30:00.000Z", TOLERANCE),
    72: ("2026-03-08T12:00:00.000Z", TOLERANCE),
    73: ("2026-11-01T08:00:00.000Z", TOLERANCE),
    74: ("2026-11-01T06:30:00.000Z", TOLERANCE),
    82: (False, TOLERANCE),
    83: (True, TOLERANCE),
    87: ("2026-01-05T14:00:00.000Z", PLAN),  # a minute early fulfils the slot of today and keeps 14:00
    92: ("2026-01-12T14:00:00.000Z", PLAN),
    93: ("2026-01-12T14:00:00.000Z", PLAN),
    94: ("2026-02-01T03:00:00.000Z", PLAN),
    95: ("2026-01-04T15:00:00.000Z", PLAN),  # 20 minutes early, and 15 minutes is the most that counts
    96: ("2026-01-04T23:00:00.000Z", PLAN),
    100: (None, BAD),
    101: (None, BAD),
    141: ("bad_format", BAD),  # the interval makes the grid, so it is always read
    144: ("2026-01-02T14:03:02.000Z", PLAN),  # a fixed anchor may be any number of steps back
    164: ("2026-03-29T05:30:00.000Z", TOLERANCE),
    165: ("2026-03-29T23:30:00.000Z", TOLERANCE),
    168: ("2026-10-25T01:10:00.000Z", TOLERANCE),
    169: ("2026-10-25T06:10:00.000Z", TOLERANCE),
    172: ("2026-03-09T06:50:00.000Z", TOLERANCE),
    174: ("2026-11-01T06:10:00.000Z", TOLERANCE),
    175: ("2026-11-01T06:40:00.000Z", TOLERANCE),
    176: ("2026-11-01T11:40:00.000Z", TOLERANCE),
    177: ("2026-05-06T04:00:00.000Z", PLAN),
    178: ("2026-05-06T04:00:00.000Z", PLAN),
    181: ("2026-05-11T04:00:00.000Z", PLAN),
    182: ("2026-05-11T04:00:00.000Z", PLAN),
    183: ("2026-06-08T04:00:00.000Z", PLAN),
}

OLD_UNITS = {"hour": "h", "day": "D"}

# Our errors for the symbolic errors of the file; the two of a date come from the reader of dates below.
ERRORS: dict[str, tuple[type[ValueError], str]] = {
    "empty": (BadInterval, "is empty"),
    "bad_format": (BadInterval, "must contain numbers with the units s m h D W M Y"),
    "bad_value": (BadInterval, "is zero"),
    "iteration_cap": (NoSlot, "must be longer than zero"),
    "no_allowed_day_8": (NoSlot, "no weekday"),
    "no_allowed_day_cap": (NoSlot, "no weekday"),
    "bad_last_date": (ValueError, "isoformat"),
    "bad_base_date": (ValueError, "isoformat"),
}


def read_instant(text: str, zone: str) -> datetime:
    """Return dates of the file: without a zone in the process zone, without a time in UTC, cut to milliseconds."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC if len(text) == len("2026-07-02") else ZoneInfo(zone))
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000).astimezone(UTC)


def write_instant(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def answer_next(given: dict[str, Any], zone: str) -> str | None:
    last_run_at, anchor_at = read_instant(given["lastBackup"], zone), read_instant(given["baseTime"], zone)
    interval = parse_interval(given["interval"])
    return write_instant(next_expected(last_run_at, anchor_at, interval, given["allowedWeekDays"]))


def answer_settings(given: dict[str, Any], zone: str) -> str | None:
    """Return the expected time after the refresh, with the default tolerance of the entries of the file."""
    stored = given["stored"] or {"expectedInterval": "1D"}
    interval = stored["expectedInterval"]
    if "intervalUnit" in stored:
        interval = f"{interval}{OLD_UNITS[stored['intervalUnit']]}"
    time = stored.get("time", "")
    anchor_at = read_instant(time, zone) if time[:1].isdigit() else None
    latest = given["latestBackupDate"]
    last_run_at = read_instant(latest, zone) if latest else None
    weekdays = stored.get("allowedWeekDays", [])
    tolerance = TOLERANCES[DEFAULT_TOLERANCE]
    if last_run_at is None and anchor_at is None:
        return None
    try:
        mask = weekday_mask(weekdays)
    except ValueError:
        return None
    schedule = Schedule(anchor_at or last_run_at, interval, mask)
    return write_instant(expected_time(last_run_at, schedule, tolerance=tolerance))


def answer(function: str, given: dict[str, Any], zone: str) -> Any:
    match function:
        case "next":
            return answer_next(given, zone)
        case "settings":
            return answer_settings(given, zone)
        case "deadline":
            return write_instant(deadline(read_instant(given["time"], zone), TOLERANCES[given["tolerance"]]))
        case "isOverdue":
            expected_at, now = read_instant(given["time"], zone), read_instant(given["now"], zone)
            return is_overdue(deadline(expected_at, TOLERANCES[given["tolerance"]]), now)
        case "parse":
            return [token._asdict() for token in parse_interval(given["interval"]).tokens]
        case "validate":
            return is_strict(given["interval"])
    raise AssertionError(f"the file has a new kind of case: {function}")


def reference(case: dict[str, Any]) -> Any:
    return case["output"]["time"] if case["fn"] == "settings" else case["error"] or case["output"]


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: f"{case['id']}-{case['fn']}")
def test_case_gives_the_original_result_or_the_listed_one(case: dict[str, Any]) -> None:
    expected, _ = DIFFERENT.get(case["id"], (reference(case), ""))
    if isinstance(expected, str) and expected in ERRORS:
        kind, message = ERRORS[expected]
        with pytest.raises(kind, match=message):
            answer(case["fn"], case["input"], case["tz"])
    else:
        assert answer(case["fn"], case["input"], case["tz"]) == expected


@pytest.mark.parametrize("case_id", DIFFERENT)
def test_listed_difference_is_one_and_has_its_row(case_id: int) -> None:
    ours, row = DIFFERENT[case_id]
    assert ours != reference(CASES[case_id])
    assert f"\n| {row} |" in (ROOT / "docs" / "deviations.md").read_text(encoding="utf-8")


def test_documentation_lists_the_same_differences() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([0-9, ]+) \|", (ROOT / "docs" / "overdue.md").read_text(), re.MULTILINE)
    documented = {int(case_id): row for row, case_ids in rows for case_id in case_ids.split(",")}
    assert documented == {case_id: row for case_id, (_, row) in DIFFERENT.items()}
