"""The versions that a report lists, read with what is known of the job's runs and of its machine.

Dates in the list are local times in the language of the machine; `app.domain.available_versions` has the rules.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, bindparam, select, type_coerce

from app.domain.available_versions import KnownRun, SeenOffset, VersionList, VersionLog, read_versions, span_of
from app.domain.instants import iso, to_milliseconds
from app.domain.reports import Figure, Report
from app.domain.seen_offsets import seen_offsets
from app.models import Run
from app.services import deployment

RUNS = Run.__table__
# More would take longer than an upload may: ten years of hourly runs are 87,600, and no list holds them all.
MOST_KNOWN_RUNS = 20_000
# The list of a job differs from the one before it by a date or two. To read thirty dates took 5 ms of an upload, and
# all runs of two years, hourly, ten times that; what the list before came to is kept, of as many jobs as this.
MOST_LISTS, LONGEST_LIST = 1_000, 400
# How many dates that are known are read again with the new ones, for the order of the list.
CONTEXT = 6
_lists: dict[tuple[str, str], dict[str, str]] = {}

# As the numbers that are stored: to make instants of hundreds of them took longer than the rest of an upload.
BEGAN_MS, ENDED_MS, REPORTED_MS = (
    type_coerce(column, BigInteger) for column in (RUNS.c.began_at, RUNS.c.ended_at, RUNS.c.reported_began_at)
)
FIND_RUNS = (
    select(BEGAN_MS, ENDED_MS, REPORTED_MS)
    .where(RUNS.c.job_id == bindparam("job_id"), BEGAN_MS.between(bindparam("first"), bindparam("last")))
    .order_by(RUNS.c.began_at.desc())
    .limit(MOST_KNOWN_RUNS)
)
# Begins of runs for which the clock was ahead: as they were sent, and as they count.
Clocks = tuple[datetime, datetime]
FIND_MOVED = (
    select(RUNS.c.reported_began_at, RUNS.c.began_at)
    .where(RUNS.c.job_id == bindparam("job_id"), RUNS.c.reported_began_at.is_not(None))
    .order_by(RUNS.c.reported_began_at)
)


def with_versions(connection: Connection, server: Any, job_id: int, report: Report) -> Report:
    """The report with the versions that its log lists. `server` has the attributes of `Server`."""
    if not report.version_log.is_told:
        return report
    began_at = report.sent_began_at
    ended_at = began_at + (report.ended_at - report.began_at)
    offsets = seen_offsets(server.seen_offsets)
    if report.utc_offset_min is not None:
        offsets.append(SeenOffset(began_at, report.utc_offset_min))

    def read(version_log: VersionLog) -> VersionList:
        span = span_of(version_log, began_at)
        return read_versions(
            version_log,
            began_at=began_at,
            ended_at=ended_at,
            known_runs=_known_runs(connection, job_id, span) if span else (),
            seen_offsets=offsets,
            zone=deployment.settings().zone,
        )

    found = _read_by_list_before((report.server_id, report.job_name), report.version_log, read)
    clocks = moved_runs(connection, job_id)
    if report.reported_began_at is not None:
        clocks.append((report.reported_began_at, report.began_at))
    return replace(
        report,
        available_versions=by_right_clock(found.versions, clocks, report.ended_at),
        unread_versions=found.unread,
        not_told=report.not_told | list_not_told(found),
    )


def _read_by_list_before(
    key: tuple[str, str], version_log: VersionLog, read: Callable[[VersionLog], VersionList]
) -> VersionList:
    """Read the dates that the job's list before did not have, with some that it had; the others are known from there.

    Whatever is unusual is read in full: a list with other dates than the one before, or one in which the dates that
    are read again come out otherwise.
    """
    dates, deleted = version_log.dates, version_log.deleted_dates
    if len(dates) > LONGEST_LIST or len(set(dates)) < len(dates) or not set(deleted) <= set(dates):
        return read(version_log)
    before = _lists.get(key, {})
    new_count = next((index for index, date in enumerate(dates) if date in before), len(dates))
    short_count = new_count + CONTEXT
    known: dict[str, str] | None = None
    if short_count < len(dates) and all(date in before for date in dates[new_count:]):
        newest = read(version_log.newest(short_count))
        known = _by_date(dates[:short_count], newest)
        if known is not None:
            known = before | known
            if any(known[date] != before[date] for date in dates[new_count:]):
                known = None
    if known is None:
        known = _by_date(dates, read(VersionLog(version_log.considered)))
        if known is None:
            return read(version_log)
    if len(_lists) >= MOST_LISTS:
        _lists.clear()
    _lists[key] = {date: known[date] for date in dates}
    return VersionList(tuple(sorted((known[date] for date in dates if date not in deleted), reverse=True)))


def _by_date(dates: Sequence[str], found: VersionList) -> dict[str, str] | None:
    """The versions by the dates of the log; None unless each date has a version of its own."""
    if len(found.versions) < len(dates):
        return None
    return {date: entry for date, entry in zip(dates, found.entries, strict=True) if entry is not None}


def moved_runs(connection: Connection, job_id: int) -> list[Clocks]:
    """The runs of a job for which the clock of the machine was ahead, oldest first."""
    return [(sent_at, began_at) for sent_at, began_at in connection.execute(FIND_MOVED, {"job_id": job_id})]


def by_right_clock(versions: Sequence[str], clocks: Sequence[Clocks], ended_at: datetime) -> tuple[str, ...]:
    """The versions of a list, newest first, without the error of the clock by which some of them were named.

    Those of runs that are known with both times are given by the right one. Others that lie after the end of the run
    that lists them are set back by the error that the clock had at the newest of those runs.
    """
    if not clocks:
        return tuple(versions)
    known = {_second(sent_at): _second(began_at) for sent_at, began_at in clocks}
    error, latest = clocks[-1][0] - clocks[-1][1], iso(ended_at)

    def corrected(version: str) -> str:
        if version in known or version <= latest:
            return known.get(version, version)
        return iso(datetime.fromisoformat(version) - error)

    return tuple(sorted({corrected(version) for version in versions}, reverse=True))


def _second(at: datetime) -> str:
    return iso(at.replace(microsecond=0))


def list_not_told(found: VersionList) -> Figure:
    """Nothing was told by a list of which no entry can be read."""
    return Figure.VERSION_LIST if found.unread and not found.versions else Figure(0)


def _known_runs(connection: Connection, job_id: int, span: tuple[datetime, datetime]) -> list[KnownRun]:
    """The runs of a job that began within a span, by the clock of their machine."""
    first, last = map(to_milliseconds, span)
    rows = connection.execute(FIND_RUNS, {"job_id": job_id, "first": first, "last": last})
    return [known_run(*row) for row in rows]


def known_run(began_ms: int, ended_ms: int, reported_ms: int | None) -> KnownRun:
    """A stored run as its machine saw it, by the begin that was sent; milliseconds since 1970."""
    if reported_ms is None:
        return KnownRun(began_ms / 1000, ended_ms / 1000)
    return KnownRun(reported_ms / 1000, (reported_ms + ended_ms - began_ms) / 1000)
