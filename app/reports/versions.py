"""The restorable versions of a job, read from the log of the retention check.

Duplicati writes them newest first, in local time and in the culture of its server, without a zone. Each is interpreted
by facts, in this order: the earlier runs of the job (each version lies within one), the order of the list, the UTC
offsets that reports of the server showed, and the zone of our own server. Versions that remain ambiguous are not read.

The last part of the module stores these UTC offsets as a few periods.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.core.instants import from_milliseconds, iso, to_milliseconds
from app.reports.written_dates import CALENDARS, CENTURIES, YEARS_BEHIND, WrittenDate, is_masked, take_apart

CONSIDERED = "Backups to consider:"
DELETED = "All backups to delete:"

# Limit against excessive input: ten years of hourly backups are 87,600, and no job keeps them all.
_MOST_VERSIONS = 10_000

_DAY_S = 86_400
_QUARTER_S = 900
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
# Duplicati's first release; older dates come from a wrong clock.
_FIRST_DAY = date(2008, 1, 1).toordinal()
# A date this far behind the report is read in the wrong calendar.
_MOST_FUTURE_DAYS = 400

# Minutes. UTC offsets that have, or since 2015 had, fractions of an hour, by the whole hours that .NET writes for them.
_FRACTIONS = {
    hours * 60: tuple((abs(hours) * 60 + more) * (1 if hours > 0 else -1) for more in minutes)
    for hours, minutes in {
        -9: (30,), -4: (30,), -3: (30,), -2: (30,), 3: (30,), 4: (30,), 5: (30, 45), 6: (30,), 8: (45, 30), 9: (30,),
        10: (30,), 11: (30,), 12: (45,), 13: (45,),
    }.items()
}  # fmt: skip
_EARLIEST_OFFSET, _LATEST_OFFSET = -12 * 60, 14 * 60
_HOUR = 60

# Seconds. A version is at most one older than the begin of its run, since texts and databases cut fractions.
_SLACK_S = 1
# Versions usually begin within three seconds of their run; scripts before a run take longer.
_CLOSE_S = 120
# The newest version of an active job is recent; an old one is suspicious.
_FRESH_S, _OLD_S = 8 * _DAY_S, 20 * _DAY_S
# Maximum distance between a report and a seen offset that counts as the report's.
_NEAR_REPORT_S = 120

_HEAD = re.compile(
    r"\s{0,8}\d{4}-\d\d-\d\d (\d\d)[^\w]{1,3}(\d\d)[^\w]{1,3}(\d\d) ([+-])(\d\d)(?::?(\d\d))? - \[", re.ASCII
)
_LONGEST_HEAD = 80
# Number of lines at either end of a log that are searched for a date.
_MOST_HEADS = 5
# Seconds by which a log line may precede the start of its run, since it has no fractions, and follow its end.
_HEAD_SLACK_S = 2
_LATE_HEAD_S = 300

_ORDERS = {"ymd": (0, 1, 2), "dmy": (2, 1, 0), "mdy": (2, 0, 1)}

# One zone for each set of rules by which offsets changed since 2018: the possible offsets of a server at other dates.
_ZONE_NAMES = (  # noqa: SIM905
    "Africa/Cairo Africa/Casablanca Africa/Juba Africa/Sao_Tome America/Adak America/Anchorage America/Asuncion "
    "America/Bahia_Banderas America/Denver America/Campo_Grande America/Chicago America/Chihuahua "
    "America/Ciudad_Juarez America/Coyhaique America/Whitehorse America/New_York America/Los_Angeles America/Halifax "
    "America/Havana America/Nuuk America/Mexico_City America/Mazatlan America/Metlakatla America/Miquelon "
    "America/Ojinaga America/Santiago America/Sao_Paulo America/Scoresbysund America/St_Johns Antarctica/Casey "
    "Antarctica/Troll Antarctica/Vostok Asia/Almaty Asia/Amman Asia/Beirut Asia/Damascus Asia/Famagusta Asia/Gaza "
    "Asia/Jerusalem Asia/Tehran Atlantic/Azores Australia/Adelaide Australia/Lord_Howe Australia/Sydney "
    "Europe/Berlin Europe/Helsinki Europe/Chisinau Europe/London Europe/Volgograd Pacific/Apia Pacific/Auckland "
    "Pacific/Chatham Pacific/Easter Pacific/Fiji Pacific/Norfolk"
).split()


class KnownRun(NamedTuple):
    """A run of the same job: seconds since 1970."""

    began_s: float
    ended_s: float


class SeenOffset(NamedTuple):
    """An instant in UTC, and the server's offset then, in minutes, east positive."""

    at: datetime
    minutes: int


@dataclass(frozen=True, slots=True)
class VersionLog:
    """The two log lines about versions; "" if missing."""

    considered: str = ""
    deleted: str = ""

    @property
    def has_list(self) -> bool:
        """Whether the log has a list of versions, which may be empty."""
        return bool(self.considered)

    @property
    def dates(self) -> list[str]:
        """The considered dates as written, newest first."""
        return _entries(self.considered, CONSIDERED)

    @property
    def deleted_dates(self) -> list[str]:
        """The deleted dates as written."""
        return _entries(self.deleted, DELETED)

    def newest(self, count: int) -> "VersionLog":
        """Return the log of the first dates only, without deleted dates."""
        head = self.considered.partition(CONSIDERED)[0]
        return VersionLog(f"{head}{CONSIDERED} {', '.join(self.dates[:count])}")


@dataclass(frozen=True, slots=True)
class VersionList:
    """The versions as ISO texts in UTC, newest first, each once.

    `unread` counts ambiguous entries. `entries` has the result for each entry considered, in the order of the log, None
    if unread.
    """

    versions: tuple[str, ...] = ()
    unread: int = 0
    entries: tuple[str | None, ...] = field(default=(), compare=False)


def find_version_log(lines: Iterable[str]) -> VersionLog:
    """Return the last line of each kind."""
    considered = deleted = ""
    for line in lines:
        if CONSIDERED in line:
            considered = line
        if DELETED in line:
            deleted = line
    return VersionLog(considered, deleted)


def machine_offset(lines: Sequence[str], began_at: datetime, ended_at: datetime) -> int | None:
    """Return the offset of the server at the end of a run, in minutes.

    The log lines give whole hours; comparing local times with start and end of the run gives the fraction.
    """
    heads = [head for line in lines[:_MOST_HEADS] if (head := _read_head(line))]
    last_heads = [head for line in lines[-_MOST_HEADS:] if (head := _read_head(line))]
    if not last_heads:
        last_heads = heads
    if not last_heads:
        return None
    last = last_heads[-1]
    if last.is_exact:
        return last.minutes
    possible = _exact_offsets(last.minutes)
    if len(possible) == 1:
        return last.minutes
    # The first line is written right after the start, the last around the end.
    began_s, length_s = began_at.timestamp(), max(0.0, (ended_at - began_at).total_seconds())
    before_end = {}
    for minutes in possible:
        since_begin = (last.second_of_day - minutes * 60 - began_s + _HEAD_SLACK_S) % _DAY_S - _HEAD_SLACK_S
        if since_begin <= length_s + _LATE_HEAD_S:
            before_end[minutes] = abs(length_s - since_begin)
    if len(before_end) == 1:
        return next(iter(before_end))
    after_begin = {
        minutes: (heads[0].second_of_day - minutes * 60 - began_s + _HEAD_SLACK_S) % _DAY_S
        for minutes in before_end
        if heads and heads[0].minutes == last.minutes
    }
    close = [
        minutes for minutes, gap in before_end.items() if min(gap, after_begin.get(minutes, _DAY_S)) <= _LATE_HEAD_S
    ]
    return close[0] if len(close) == 1 else None


def read_versions(
    log: VersionLog,
    *,
    began_at: datetime,
    ended_at: datetime,
    known_runs: Sequence[KnownRun] = (),
    seen_offsets: Sequence[SeenOffset] = (),
    zone: tzinfo,
) -> VersionList:
    """Return the versions considered less those deleted.

    `began_at` and `ended_at` are of the report, `known_runs` earlier runs of its job, `seen_offsets` of its server,
    this report included. `zone` is that of our own server: it is used if it agrees with what is known of the other.
    """
    texts = _entries(log.considered, CONSIDERED)
    if not texts:
        return VersionList()
    written = [take_apart(text) for text in texts]
    deleted = _entries(log.deleted, DELETED)
    kept, doubtful = _less_deleted(texts, deleted)
    limit_s = began_at.timestamp() + _SLACK_S
    runs = _Runs(known_runs, limit_s)
    instants: list[int | None] = [None] * len(texts)
    deleted_instants: set[int] = set()
    considered = set(texts)
    extra = [text for text in deleted if text not in considered]
    if any(written) and _is_of_our_time(began_at):
        clock = _Clock(log.considered, began_at, ended_at, seen_offsets, zone)
        readings = _choose_readings(written, runs, clock, limit_s)
        settled = [_settle(reading, runs, clock, limit_s) for reading in readings]
        if settled:
            # Equally likely readings must give the same result.
            instants = [
                first if all(other[index] == first for other in settled) else None
                for index, first in enumerate(settled[0])
            ]
        if extra and len(settled) == 1:
            deleted_instants = _read_deleted(extra, readings[0], set(instants), limit_s)
    found = {
        instant
        for index, instant in enumerate(instants)
        if kept[index] and instant is not None and instant not in deleted_instants
    }
    unread = doubtful + sum(
        1 for index, instant in enumerate(instants) if kept[index] and instant is None and _is_date_like(texts[index])
    )
    entries = tuple(None if instant is None else iso(datetime.fromtimestamp(instant, UTC)) for instant in instants)
    versions = (iso(datetime.fromtimestamp(instant, UTC)) for instant in sorted(found, reverse=True))
    return VersionList(tuple(versions), unread, entries)


def span_of(log: VersionLog, began_at: datetime) -> tuple[datetime, datetime] | None:
    """Return the range that contains all versions under any reading.

    None if no versions.
    """
    written = [found for text in _entries(log.considered, CONSIDERED) if (found := take_apart(text))]
    if not written or not _is_of_our_time(began_at):
        return None
    last_day = began_at.astimezone(UTC).toordinal() + 1
    days = [
        day
        for order, calendar in _possible_calendars(written, last_day)
        for found in written
        if (day := _day(found, _ORDERS[order], calendar, last_day)) is not None
    ]
    if not days:
        return None
    first = datetime.fromordinal(min(days)).replace(tzinfo=UTC) - timedelta(days=1)
    return min(first, began_at), began_at + timedelta(seconds=_SLACK_S)


def _is_of_our_time(instant: datetime) -> bool:
    """Return whether an instant is in the range of calendars and zones."""
    return 2000 <= instant.year < 2200


class _Head(NamedTuple):
    second_of_day: int
    minutes: int  # offset
    is_exact: bool  # the offset was written with its minutes


def _read_head(line: str) -> _Head | None:
    """Read the time of day and offset at the start of a log line, in any calendar."""
    match = _HEAD.match(line[:_LONGEST_HEAD])
    if match is None:
        return None
    hour, minute, second = (int(part) for part in match.group(1, 2, 3))
    minutes = int(match[5]) * _HOUR + int(match[6] or 0)
    if match[4] == "-":
        minutes = -minutes
    if hour > 23 or minute > 59 or second > 59 or not _EARLIEST_OFFSET <= minutes <= _LATEST_OFFSET:
        return None
    return _Head(hour * 3600 + minute * 60 + second, minutes, match[6] is not None)


def _exact_offsets(whole_hours: int) -> list[int]:
    """Return the offsets that .NET writes as these whole hours: it drops the minutes."""
    return [whole_hours, *_FRACTIONS.get(whole_hours, ())]


def _entries(line: str, marker: str) -> list[str]:
    """Return the texts of a list, up to the limit."""
    parts = line.partition(marker)[2].split(",", _MOST_VERSIONS)[:_MOST_VERSIONS]
    return [stripped for part in parts if (stripped := part.strip())]


def _is_date_like(text: str) -> bool:
    """Return whether a text can be a version, and not the name of a type."""
    beginning = text[:200]
    return is_masked(beginning) or any(char.isdecimal() for char in beginning)


def _less_deleted(texts: list[str], deleted: list[str]) -> tuple[list[bool], int]:
    """Return which texts remain, and the number of texts only partly deleted.

    Which of these remain is unknown: an hour of the night in which summer time ends occurs twice.
    """
    counts, gone = Counter(texts), Counter(deleted)
    doubtful = sum(count - gone[text] for text, count in counts.items() if 0 < gone[text] < count)
    return [text not in gone for text in texts], doubtful


class _Runs:
    """The known runs of the job, searchable by instant."""

    def __init__(self, known_runs: Sequence[KnownRun], limit_s: float) -> None:
        runs = sorted(known_runs)
        self.begins = [run.began_s for run in runs]
        self._runs = runs
        self._limit_s = limit_s

    def seconds_into(self, instant: float) -> float | None:
        """Return the time from the start of an instant's run to it; None without a run."""
        index = bisect_right(self.begins, instant + _SLACK_S) - 1
        if index < 0:
            return None
        seconds = instant - self.begins[index]
        if seconds <= _SLACK_S or instant <= self._runs[index].ended_s + 1:
            return seconds
        return None

    def order_key(self, instant: int) -> float:
        """Return the start of the run of an instant, else the instant itself.

        A run has one version: two of the same key cannot both be right.
        """
        seconds = self.seconds_into(instant)
        return instant if seconds is None else instant - seconds

    def count_after(self, instant: float) -> int:
        """Return how many runs began after an instant and before the report."""
        return bisect_right(self.begins, self._limit_s - 2 * _SLACK_S) - bisect_right(self.begins, instant + _SLACK_S)


@lru_cache(maxsize=1)
def _zones() -> tuple[tzinfo, ...]:
    """Return the zones of `_ZONE_NAMES` that this system knows."""
    zones = []
    for name in _ZONE_NAMES:
        try:
            zones.append(ZoneInfo(name))
        except ZoneInfoNotFoundError:
            continue  # the system's time zone database is older
    return tuple(zones)


def _minutes(offset: timedelta | None) -> int:
    """Return an offset in minutes."""
    return int((offset or timedelta()).total_seconds() // 60)


def _offset_at(zone: tzinfo, instant: float) -> int:
    """Return the offset of a zone at an instant, in minutes."""
    return _minutes(datetime.fromtimestamp(instant, zone).utcoffset())


def _local_offsets(zone: tzinfo, local: int) -> tuple[int, ...]:
    """Return the offsets of a local time: two if it occurs twice, none if skipped."""
    return _quarter_offsets(zone, local // _QUARTER_S)


# Clocks change at a whole quarter of an hour, and lists repeat: without this, zones took half the time of a list.
@lru_cache(maxsize=32_768)
def _quarter_offsets(zone: tzinfo, quarter: int) -> tuple[int, ...]:
    naive = datetime(1970, 1, 1) + timedelta(seconds=quarter * _QUARTER_S)  # noqa: DTZ001
    first = _minutes(naive.replace(tzinfo=zone).utcoffset())
    second = _minutes(naive.replace(tzinfo=zone, fold=1).utcoffset())
    if first == second:
        return (first,)
    return (first, second) if first > second else ()


class _Clock:
    """The known UTC offsets over time of the server that sent the report."""

    def __init__(
        self, line: str, began_at: datetime, ended_at: datetime, seen: Sequence[SeenOffset], zone: tzinfo
    ) -> None:
        self.own_zone = zone
        self._at = (ended_at if ended_at > began_at and _is_of_our_time(ended_at) else began_at).timestamp()
        self._seen = _thinned(seen)
        head = _read_head(line)
        possible = [] if head is None else [head.minutes] if head.is_exact else _exact_offsets(head.minutes)
        near = [
            (abs(point - self._at), minutes)
            for point, minutes in self._seen
            if began_at.timestamp() - _NEAR_REPORT_S <= point <= self._at + _NEAR_REPORT_S
            and (head is None or minutes in possible)
        ]
        exact = min(near)[1] if near else machine_offset([line], began_at, ended_at)
        # Offsets at the report; empty if unknown.
        self.now = possible if exact is None else [exact]
        fixed = [
            timezone(timedelta(minutes=minutes)) for minutes in (self.now or [found for _, found in self._seen[:1]])
        ]
        candidates = [
            candidate
            for candidate in (zone, *_zones(), *fixed)
            if not self.now or _offset_at(candidate, self._at) in self.now
        ]
        self.zones = _consistent(candidates, self._seen) if not self.is_blank else [zone]

    def offsets(self) -> list[int]:
        """Return the offsets to try on all versions; empty if any is possible."""
        if self.is_blank:
            return []
        around = self.now or sorted({_offset_at(zone, self._at) for zone in self.zones})
        tried = {minutes + shift for minutes in around for shift in (0, _HOUR, -_HOUR)}
        return sorted(minutes for minutes in tried if _EARLIEST_OFFSET <= minutes <= _LATEST_OFFSET)

    @property
    def is_blank(self) -> bool:
        """Return whether no report shows an offset."""
        return not self.now and not self._seen

    def zones_around(self, offsets: list[int]) -> list[tzinfo]:
        """Return all zones that have one of these offsets at the report."""
        fixed = [timezone(timedelta(minutes=minutes)) for minutes in offsets]
        return [zone for zone in (self.own_zone, *_zones(), *fixed) if _offset_at(zone, self._at) in offsets]

    def own_offsets(self) -> list[int]:
        """Return the offset of our own zone at the report and those an hour apart."""
        minutes = _offset_at(self.own_zone, self._at)
        return [minutes - _HOUR, minutes, minutes + _HOUR]


def _learn(zones: list[tzinfo], learned: list[tuple[float, int]]) -> list[tzinfo]:
    """Return the zones that agree with matched versions, or all when none does."""
    sample = learned[:: 1 + len(learned) // 200]
    return [zone for zone in zones if all(_offset_at(zone, at) == minutes for at, minutes in sample)] or zones


def _thinned(seen: Sequence[SeenOffset]) -> list[tuple[float, int]]:
    """Return instants and offsets, newest first: each change, else one in ten days."""
    points = sorted((offset.at.timestamp(), offset.minutes) for offset in seen if _is_of_our_time(offset.at))
    kept: list[tuple[float, int]] = []
    for index, (at, minutes) in enumerate(points):
        is_edge = index in (0, len(points) - 1) or minutes != points[index - 1][1] or minutes != points[index + 1][1]
        if is_edge or at - kept[-1][0] > 10 * _DAY_S:
            kept.append((at, minutes))
    return kept[::-1]


def _consistent(zones: list[tzinfo], seen: list[tuple[float, int]]) -> list[tzinfo]:
    """Return the zones that match the offsets seen, back to a move of the server."""
    for at, minutes in seen:
        agreeing = [zone for zone in zones if _offset_at(zone, at) == minutes]
        if not agreeing:
            break
        zones = agreeing
    return zones


@dataclass(slots=True)
class _Reading:
    """One interpretation of the list.

    `local` are local times as seconds since 1970, None for invalid dates.
    """

    order: str
    calendar: str
    meanings: dict[str, str]
    local: list[int | None]
    offsets: list[int]
    zones: list[tzinfo]
    is_descending: bool = True
    matches: int = 0
    newest: int | None = None


def _day(written: WrittenDate, order: tuple[int, int, int], calendar: str, last_day: int) -> int | None:
    """Return the ordinal of a date, None if invalid or out of range."""
    year_index, month_index, day_index = order
    digits = written.digits
    if written.month and calendar not in ("gregorian", "buddhist"):
        return None
    if digits[month_index] > 2 or digits[day_index] > 2 or written.month_index not in (-1, month_index):
        return None
    year, year_digits = written.numbers[year_index], digits[year_index]
    month = written.month or written.numbers[month_index]
    if year_digits == (3 if calendar == "taiwanese" else 4):
        years: tuple[int, ...] = (year,)
    elif year_digits == 2:
        years = tuple(century + year for century in CENTURIES[calendar])
    else:
        return None
    for full_year in years:
        try:
            day = CALENDARS[calendar](full_year, month, written.numbers[day_index])
        except (ValueError, OverflowError):
            continue
        if _FIRST_DAY <= day <= last_day:
            return day
    return None


def _second_of_day(written: WrittenDate, meanings: dict[str, str]) -> int | None:
    """Return the second of the day, None if the hour contradicts its designator."""
    designator = meanings.get(written.designator, written.designator)
    hour = written.hour
    if designator in ("am", "pm"):
        if hour > 12:
            return None
        hour = hour % 12 + (12 if designator == "pm" else 0)
    elif designator:
        return None
    return hour * 3600 + written.minute * 60 + written.second


def _local_time(written: WrittenDate | None, day: int | None, meanings: dict[str, str]) -> int | None:
    """Return a local time as seconds since 1970, or None."""
    second = None if written is None or day is None else _second_of_day(written, meanings)
    return None if day is None or second is None else (day - _EPOCH_ORDINAL) * _DAY_S + second


def _last_day(limit_s: float) -> int:
    """Return the ordinal after which no date of a report can lie in any calendar."""
    return int(limit_s // _DAY_S) + _EPOCH_ORDINAL + _MOST_FUTURE_DAYS


def _possible_meanings(written: list[WrittenDate | None]) -> list[dict[str, str]]:
    """Return the possible meanings of unknown words beside the times: none, or AM/PM."""
    unknown = [found for found in written if found and found.designator not in ("", "am", "pm")]
    words = list(dict.fromkeys(found.designator for found in unknown))
    nothing = dict.fromkeys(words, "")
    if not words or any(not 1 <= found.hour <= 12 for found in unknown):
        return [nothing]
    if len(words) == 1:
        return [nothing, {words[0]: "am"}, {words[0]: "pm"}]
    if len(words) == 2:
        return [nothing, {words[0]: "am", words[1]: "pm"}, {words[0]: "pm", words[1]: "am"}]
    return [{}]


def _possible_calendars(dates: list[WrittenDate], last_day: int) -> list[tuple[str, str]]:
    """Return the orders and calendars that give a plausible year."""
    last_year = date.fromordinal(last_day).year + 2
    return [
        (order, calendar)
        for order, (year_index, _, _) in _ORDERS.items()
        for calendar, shift in YEARS_BEHIND.items()
        if any(
            digits == 2 or (digits > 2 and 2005 <= year + shift <= last_year + 20)
            for year, digits in {(found.numbers[year_index], found.digits[year_index]) for found in dates}
        )
    ]


def _readings(
    written: list[WrittenDate | None], last_day: int
) -> Iterator[tuple[str, str, dict[str, str], list[int | None]]]:
    """Yield order, calendar, meanings of unknown words and local times of readings."""
    meanings = _possible_meanings(written)
    for order, calendar in _possible_calendars([found for found in written if found], last_day):
        days = [found and _day(found, _ORDERS[order], calendar, last_day) for found in written]
        if not any(days):
            continue
        for meaning in meanings:
            local = [_local_time(found, day, meaning) for found, day in zip(written, days, strict=True)]
            yield order, calendar, meaning, local


def _choose_readings(written: list[WrittenDate | None], runs: _Runs, clock: _Clock, limit_s: float) -> list[_Reading]:
    """Return the readings of the whole list that agree with the facts."""
    last_day = _last_day(limit_s)
    offsets = clock.offsets()
    latest_local = limit_s + 60 * (max(offsets) if offsets else _LATEST_OFFSET)
    fewest: int | None = None
    found: list[_Reading] = []
    for order, calendar, meanings, local in _readings(written, last_day):
        bad = sum(1 for seconds in local if seconds is None or seconds > latest_local)
        if bad == len(local) or (fewest is not None and bad > fewest):
            continue
        if fewest is None or bad < fewest:
            fewest, found = bad, []
        found.append(_Reading(order, calendar, meanings, local, offsets, clock.zones))
    for reading in found:
        reading.is_descending = _is_descending(reading.local)
    found = [reading for reading in found if reading.is_descending] or found
    for reading in found:
        if not offsets:
            _vote(reading, runs, clock)
        _match(reading, runs)
    return _by_form(_by_runs(found, runs), written, limit_s)


def _is_descending(local: list[int | None]) -> bool:
    """Return whether the newest comes first.

    Local times go back by an hour when summer time ends.
    """
    seconds = [second for second in local if second is not None]
    return all(newer > older - 3600 for newer, older in pairwise(seconds))


def _vote(reading: _Reading, runs: _Runs, clock: _Clock) -> None:
    """Set the offsets at which most versions match runs, if none is known."""
    sample = [second for second in reading.local if second is not None][:100]
    votes = {
        minutes: sum(1 for second in sample if runs.seconds_into(second - minutes * 60) is not None)
        for minutes in range(_EARLIEST_OFFSET, _LATEST_OFFSET + 1, 15)
    }
    most = max(votes.values())
    best = [minutes for minutes, count in votes.items() if count == most]
    if not most or best[-1] - best[0] > _HOUR:
        reading.offsets = clock.own_offsets()
        return
    reading.offsets = sorted({minutes + shift for minutes in best for shift in (0, _HOUR, -_HOUR)})
    reading.zones = clock.zones_around(reading.offsets)


def _match(reading: _Reading, runs: _Runs) -> None:
    """Count the versions that lie in known runs, and find the newest version."""
    for second in reading.local:
        if second is None:
            continue
        matches = [
            instant for minutes in reading.offsets if runs.seconds_into(instant := second - minutes * 60) is not None
        ]
        if matches:
            reading.matches += 1
        instant = max(matches, default=second - 60 * reading.offsets[len(reading.offsets) // 2])
        reading.newest = instant if reading.newest is None else max(reading.newest, instant)


def _by_runs(readings: list[_Reading], runs: _Runs) -> list[_Reading]:
    """Return the readings with the most matches, and those not ruled out by the runs.

    A job that runs daily at the same time can match at swapped days and months too. Its newest version is then far
    older than its last runs, which all would have left no version.
    """
    if len(readings) < 2 or not runs.begins:
        return readings
    most = max(reading.matches for reading in readings)
    best = [reading for reading in readings if reading.matches == most]
    skipped = {id(reading): runs.count_after(reading.newest or 0) for reading in readings}
    fewest = min(skipped[id(reading)] for reading in best)
    rivals = [
        reading
        for reading in readings
        if reading.matches < most
        and skipped[id(reading)] < fewest
        and (reading.matches or (reading.newest or 0) > runs.begins[-1])
    ]
    if not rivals and most:
        return [reading for reading in best if skipped[id(reading)] < fewest + 3]
    return best + rivals


def _by_form(readings: list[_Reading], written: list[WrittenDate | None], limit_s: float) -> list[_Reading]:
    """Return the readings in the order that the format of the dates implies."""
    if len({reading.order for reading in readings}) < 2:
        return readings
    dates = [
        found
        for index, found in enumerate(written)
        if found and any(reading.local[index] is not None for reading in readings)
    ]
    order = _certain_order(dates)
    certain = [reading for reading in readings if reading.order == order]
    newest = max((reading.newest or 0 for reading in certain), default=0)
    # The last version is rarely weeks old. If it is here, and is of yesterday in another order, the format decides
    # nothing.
    is_old = newest < limit_s - _OLD_S
    is_contradicted = is_old and any((reading.newest or 0) > limit_s - _FRESH_S for reading in readings)
    return readings if is_contradicted or not certain else certain


def _certain_order(dates: list[WrittenDate]) -> str:
    """Return the order that all cultures with this format have, or "".

    Taken from the CLDR patterns; only for AM and PM in capitals there are exceptions beside en-US, all of them rare.
    """
    first = dates[0]
    if first.month_index == 1:
        return "dmy"
    if first.digits[2] != 4:
        return ""
    if first.separator in (".", "-") or first.time_separator == ".":
        return "dmy"
    words = {found.designator_text for found in dates}
    if words <= {"AM", "PM"}:
        return "" if any(found.is_padded for found in dates) else "mdy"
    if words <= {"am", "pm"} or words <= {"π.μ.", "μ.μ.", "πμ", "μμ", "ص", "م"}:
        return "dmy"
    return ""


def _settle(reading: _Reading, runs: _Runs, clock: _Clock, limit_s: float) -> list[int | None]:
    """Return the instant of each version, None if ambiguous."""
    pools: list[list[int]] = []
    unmatched: list[tuple[int, set[int]]] = []
    learned: list[tuple[float, int]] = []
    likely_at = _LocalOffsets(reading.zones)
    for index, local in enumerate(reading.local):
        if local is None:
            pools.append([])
            continue
        matched, likely = _matched(local, reading, runs, limit_s), likely_at[local]
        both = [minutes for minutes in matched if minutes in likely]
        if not both:
            unmatched.append((index, set(matched)))
        elif len(both) == 1:
            learned.append((local - both[0] * 60, both[0]))
        pools.append([local - minutes * 60 for minutes in both])
    zones = _learn(reading.zones, learned)
    if zones != reading.zones:
        likely_at = _LocalOffsets(zones)
    for index, chances in unmatched:
        local = reading.local[index] or 0
        likely = likely_at[local]
        # If the rules of the server are known, a match at another offset is a coincidence.
        pools[index] = [instant for minutes in (likely or chances) if (instant := local - minutes * 60) <= limit_s]
    for index, pool in enumerate(pools):
        local = reading.local[index]
        if len(pool) > 1 and local is not None:
            likely = likely_at[local]
            pools[index] = [instant for instant in pool if (local - instant) // 60 in likely] or pool
    for index in range(1, len(pools)):
        pair = (index - 1, index)
        keys = {runs.order_key(pools[number][0]) if len(pools[number]) == 1 else None for number in pair}
        if len(keys) == 1 and None not in keys:
            # One of them belongs to an unknown run, in an hour that occurs twice.
            for number in pair:
                local = reading.local[number] or 0
                pools[number] = [
                    instant for minutes in likely_at[local] if (instant := local - minutes * 60) <= limit_s
                ]
    if reading.is_descending:
        _keep_order(pools, runs)
    trusted = clock.own_zone if clock.own_zone in zones else None
    return [
        _only(pool, local, trusted, runs) or _by_line(pool, local, zones, clock.now)
        for pool, local in zip(pools, reading.local, strict=True)
    ]


def _matched(local: int, reading: _Reading, runs: _Runs, limit_s: float) -> list[int]:
    """Return the offsets at which a version is within a known run."""
    return [
        minutes
        for minutes in reading.offsets
        if (instant := local - minutes * 60) <= limit_s and runs.seconds_into(instant) is not None
    ]


class _LocalOffsets(dict[int, frozenset[int]]):
    """The possible offsets of a local time in some zones, in minutes; cached."""

    def __init__(self, zones: list[tzinfo]) -> None:
        super().__init__()
        self._zones = zones

    def __missing__(self, local: int) -> frozenset[int]:
        """Compute the offsets of a local time."""
        self[local] = found = frozenset(minutes for zone in self._zones for minutes in _local_offsets(zone, local))
        return found


def _keep_order(pools: list[list[int]], runs: _Runs) -> None:
    """Drop instants that are not between those of the neighbours, newest first."""
    upper: float = float("inf")
    for index, pool in enumerate(pools):
        if pool:
            pools[index] = kept = [instant for instant in pool if runs.order_key(instant) < upper]
            upper = max((runs.order_key(instant) for instant in kept), default=upper)
    lower: float = float("-inf")
    for index in range(len(pools) - 1, -1, -1):
        if pools[index]:
            pools[index] = kept = [instant for instant in pools[index] if runs.order_key(instant) > lower]
            lower = min((runs.order_key(instant) for instant in kept), default=lower)


def _only(pool: list[int], local: int | None, own_zone: tzinfo | None, runs: _Runs) -> int | None:
    """Return the one remaining instant, or None.

    Our own zone decides among several, then the start of a run shortly before one of them.
    """
    if len(pool) == 1 or local is None:
        return pool[0] if pool else None
    if own_zone is not None:
        own = [instant for instant in pool if (local - instant) // 60 in _local_offsets(own_zone, local)]
        if len(own) == 1:
            return own[0]
    close = [instant for instant in pool if (seconds := runs.seconds_into(instant)) is not None and seconds <= _CLOSE_S]
    return close[0] if len(close) == 1 else None


def _by_line(pool: list[int], local: int | None, zones: list[tzinfo], now: list[int]) -> int | None:
    """Return the instant at the report's offset, if no summer time is known.

    None in an hour that occurs twice in some zone: there the offset of the report decides nothing.
    """
    if local is None or len(now) != 1 or any(len(_local_offsets(zone, local)) > 1 for zone in zones):
        return None
    instant = local - now[0] * 60
    return instant if instant in pool else None


def _read_deleted(texts: list[str], reading: _Reading, instants: set[int | None], limit_s: float) -> set[int]:
    """Return the instants of deleted versions that the list writes differently."""
    last_day = _last_day(limit_s)
    found: set[int] = set()
    for text in texts:
        written = take_apart(text)
        day = written and _day(written, _ORDERS[reading.order], reading.calendar, last_day)
        local = _local_time(written, day, reading.meanings)
        if local is None:
            continue
        found.update(
            instant for minutes in _LocalOffsets(reading.zones)[local] if (instant := local - minutes * 60) in instants
        )
    return found


# UTC offsets that a server's reports have shown, stored as a few periods
#
# Dates in Duplicati's list of versions are local times without an offset. The offset that the server's reports showed
# around a date is the one that held then. A server has at most two offsets a year, so a period for each is enough.

# [first seen, last seen, minutes east of UTC]; instants as milliseconds since 1970, periods in their order.
Period = list[int]
MOST_PERIODS = 200
_YEAR_MS = int(timedelta(days=366).total_seconds() * 1000)
# Extend a period only if its end is this old, so that not every report writes it.
_LEAST_STEP_MS = int(timedelta(days=2).total_seconds() * 1000)


def add_offset(periods: Sequence[Sequence[int]], at: datetime, minutes: int) -> list[Period] | None:
    """Return the periods extended by an offset that was seen; None if nothing new."""
    moment = to_milliseconds(at)
    for first, last, known in _whole(periods):
        if known == minutes and first - _LEAST_STEP_MS < moment < last + _LEAST_STEP_MS:
            return None
    samples = sorted([*_samples(periods), (moment, minutes)])
    joined: list[Period] = []
    for when, offset in samples:
        if joined and joined[-1][2] == offset:
            joined[-1][1] = when
        else:
            joined.append([when, when, offset])
    return joined[-MOST_PERIODS:]


def seen_offsets(periods: Iterable[Sequence[int]]) -> list[SeenOffset]:
    """Return instants with a known offset, oldest first: both ends of each period."""
    return [SeenOffset(from_milliseconds(moment), minutes) for moment, minutes in _samples(periods)]


def machine_zone(periods: Iterable[Sequence[int]], zone: ZoneInfo) -> tuple[str, bool]:
    """Return a server's zone for `read_zone`, and whether its reports confirm it.

    `zone` is ours: it is used if the reports of the last year agree with its offsets, or show none. Otherwise the last
    seen offset is used.
    """
    samples = _samples(periods)
    if not samples:
        return zone.key, False
    newest = max(moment for moment, _ in samples)
    lately = [sample for sample in samples if sample[0] > newest - _YEAR_MS]
    if all(_offset_min(zone, moment) == minutes for moment, minutes in lately):
        return zone.key, True
    minutes = max(samples)[1]
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}", False


def _offset_min(zone: ZoneInfo, moment: int) -> float:
    offset = from_milliseconds(moment).astimezone(zone).utcoffset() or timedelta()
    return offset / timedelta(minutes=1)


def _samples(periods: Iterable[Sequence[int]]) -> list[tuple[int, int]]:
    ends = ((moment, minutes) for first, last, minutes in _whole(periods) for moment in (first, last))
    return list(dict.fromkeys(ends))


def _whole(periods: Iterable[Sequence[int]]) -> list[Sequence[int]]:
    """Return the valid periods; a restored database may contain other values."""
    return [
        period
        for period in periods
        if isinstance(period, list) and len(period) == 3 and all(type(number) is int for number in period)
    ]
