"""Simulate two years of a hundred jobs, and count false alarms and delays.

Run it with `.venv/bin/python bench/schedules.py`. Each report passes through the schedule tracking of the product
with the columns of a job; nothing is stored. An alarm is false if every expected run has arrived, or arrived less
than a third of the interval late; reminders of one overdue run count once. The delay of a true alarm is the time from
the first missing run to the alarm; it should be at most one interval and the grace period. The last columns show how
many jobs met the goals: at most three false alarms in total, and no alarm later than that.
"""

import argparse
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

sys.path.insert(0, str(Path(__file__).parents[1]))

from flask import Flask

from app.backups.models import ALL_WEEKDAYS, DEFAULT_INTERVAL
from app.config import Settings
from app.plugin.api import HOST
from app.registry import Registry
from app.reports.outcomes import MAX_RUNS, RecentRun, pack_runs
from app.runtime import Runtime
from app.schedules import next_run
from app.schedules.overdue import TOLERANCES

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
START = datetime(2024, 1, 8, tzinfo=UTC)
END = START + timedelta(days=730)


@dataclass
class History:
    """Starts of runs, and the expected runs that are missing.

    `interval` is the time between expected runs.
    """

    interval: timedelta
    begins: list[datetime] = field(default_factory=list)
    missing: list[datetime] = field(default_factory=list)


@dataclass
class Outcome:
    """Result of one history. Delays are those of true alarms after the missing run."""

    false_alarms: int = 0
    missed: int = 0
    delays: list[timedelta] = field(default_factory=list)


def local(zone: ZoneInfo, day: datetime, hours: float) -> datetime:
    """Return a local time of a zone on a day."""
    return (day.replace(hour=0, minute=0) + timedelta(hours=hours)).replace(tzinfo=zone).astimezone(UTC)


def every_day(zone: ZoneInfo, hours: float, is_on: Callable[[datetime], bool] = lambda _: True) -> Iterator[datetime]:
    day = START
    while day < END:
        if is_on(day):
            yield local(zone, day, hours)
        day += DAY


def make(kind: str, rng: random.Random, zone: ZoneInfo) -> History:
    """Invent the history of a job of one kind."""
    hour = rng.uniform(0, 23)
    name, _, rest = kind.partition("+")
    weekday = rng.randrange(7)
    slots = {
        "daily": lambda: (DAY, every_day(zone, hour)),
        "weekdays": lambda: (DAY, every_day(zone, hour, lambda day: day.weekday() < 5)),
        "three-days": lambda: (DAY, every_day(zone, hour, lambda day: day.weekday() in (0, 2, 4))),
        "twice-a-day": lambda: (12 * HOUR, sorted([*every_day(zone, hour / 2), *every_day(zone, hour / 2 + 12)])),
        "hourly": lambda: (HOUR, (START + HOUR * number for number in range(24 * 200))),
        "weekly": lambda: (7 * DAY, every_day(zone, hour, lambda day: day.weekday() == weekday)),
        "every-two-days": lambda: (2 * DAY, every_day(zone, hour, lambda day: bool(day.toordinal() % 2))),
        "monthly": lambda: (30 * DAY, every_day(zone, hour, lambda day: day.day == 1 + weekday)),
        "end-of-month": lambda: (30 * DAY, every_day(zone, hour, lambda day: (day + DAY).day == 1)),
    }[name]()
    interval, planned = slots[0], list(slots[1])
    history = History(interval)
    jitter = 1 / 3 if "jitter" in rest else 0.003
    outages: list[tuple[datetime, datetime]] = []
    if "outages" in rest:
        for number in range(1, 5):
            begin = START + number * timedelta(days=140) + rng.random() * 20 * DAY
            outages.append((begin, begin + max(rng.uniform(1.5, 4) * interval, 2 * DAY)))
    moved_at = START + 250 * DAY if "moved" in rest else END
    by = timedelta(hours=rng.choice([2.5, -2.5, 5, -4]))
    if "by-hand" in rest:
        history.begins.append(planned[0] - interval * rng.uniform(0.3, 0.6))
    for slot in planned:
        begun = slot + (by if slot > moved_at else timedelta()) + interval * rng.uniform(-jitter, jitter)
        if any(begin <= slot < end for begin, end in outages):
            history.missing.append(slot + (by if slot > moved_at else timedelta()))
        else:
            history.begins.append(begun)
            if "extra" in rest and rng.random() < 0.05:
                history.begins.append(begun + interval * rng.uniform(0.2, 0.6))
    history.begins.sort()
    return history


def simulate(history: History, tolerance: str, zone: ZoneInfo) -> Outcome:
    """Simulate a history with the schedule tracking of the product."""
    job = SimpleNamespace(
        announced_next_at=None,
        schedule_anchor_at=None,
        schedule_source="guess",
        interval_source="default",
        learned_schedule=None,
        next_expected_at=None,
        overdue_at=None,
        overdue_tolerance=tolerance,
        expected_interval=DEFAULT_INTERVAL,
        allowed_weekdays=ALL_WEEKDAYS,
        state_began_at=None,
        last_began_at=None,
        recent_runs=b"",
    )
    server, outcome = SimpleNamespace(seen_offsets=[]), Outcome()
    runs: list[RecentRun] = []
    missing = list(history.missing)
    # The time after the last run counts only if runs are missing there.
    ends = [END] if missing and missing[-1] > history.begins[-1] else []
    for begun, following in zip(history.begins, [*history.begins[1:], *ends], strict=False):
        runs = [*runs, RecentRun(int(begun.timestamp() * 1000), "S", *[0] * (len(RecentRun._fields) - 2))][-MAX_RUNS:]
        is_first = job.state_began_at is None
        job.recent_runs, job.state_began_at, job.last_began_at = pack_runs(runs), begun, begun
        report: Any = SimpleNamespace(counts=True, began_at=begun, next_scheduled_at=None)
        next_run.follow_report(job, server, report, is_first=is_first)
        absent = [slot for slot in missing if begun < slot < following]
        is_alarm = job.overdue_at is not None and job.overdue_at < following
        if not absent:
            outcome.false_alarms += is_alarm
        elif not is_alarm:
            outcome.missed += len(absent) > 1  # a run that arrived within an interval of the next one ended it
        elif job.overdue_at < absent[0]:
            outcome.false_alarms += 1
        else:
            outcome.delays.append(job.overdue_at - absent[0])
    return outcome


KINDS = (
    "daily",
    "daily+by-hand",
    "daily+moved",
    "daily+by-hand,moved",
    "daily+outages",
    "daily+jitter",
    "daily+jitter,outages",
    "daily+extra",
    "daily+extra,outages",
    "weekdays",
    "weekdays+by-hand",
    "weekdays+outages",
    "weekdays+moved,outages",
    "three-days+outages",
    "twice-a-day",
    "twice-a-day+jitter,outages",
    "twice-a-day+moved",
    "hourly+outages",
    "weekly",
    "weekly+outages",
    "weekly+jitter",
    "every-two-days+outages",
    "every-two-days+jitter",
    "monthly",
    "end-of-month",
)


def planning_app(zone: str) -> Flask:
    """Create an application that only knows its time zone.

    Schedule tracking needs no more.
    """
    app = Flask(__name__)
    app.extensions[HOST] = Runtime(Settings(timezone=zone), Registry({}, {}, {}), lambda: None)
    return app


def main() -> None:
    """Print a row for each kind of history."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=4, help="jobs of each kind (default: %(default)s, so 100 in all)")
    parser.add_argument("--tolerance", choices=sorted(TOLERANCES), default="2h")
    parser.add_argument("--zone", default="Europe/Berlin", help="zone of machines and server (default: %(default)s)")
    options = parser.parse_args()
    zone, grace = ZoneInfo(options.zone), TOLERANCES[options.tolerance]
    print(f"{'history':28} {'runs':>6} {'false':>12} {'missed':>6} {'longest delay':>22}  within")
    total = within = 0
    with planning_app(options.zone).app_context():
        for kind in KINDS:
            outcomes, count = [], 0
            for number in range(options.jobs):
                history = make(kind, random.Random(f"{kind}{number}"), zone)
                count += len(history.begins)
                outcomes.append((history, simulate(history, options.tolerance, zone)))
            good = [
                o.false_alarms <= 3 and not o.missed and all(d <= h.interval + grace for d in o.delays)
                for h, o in outcomes
            ]
            total, within = total + len(good), within + sum(good)
            longest = max((d / h.interval for h, o in outcomes for d in o.delays), default=0)
            worst = max((d for h, o in outcomes for d in o.delays), default=timedelta())
            alarms = "/".join(str(o.false_alarms) for _, o in outcomes)
            missed = sum(o.missed for _, o in outcomes)
            delay = f"{str(worst).split('.')[0]:>16} {longest:5.2f}"
            print(f"{kind:28} {count:6} {alarms:>12} {missed:6} {delay}  {sum(good)}")
    print(f"{within} of {total} jobs within the aims")


if __name__ == "__main__":
    main()
