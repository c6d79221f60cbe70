"""What stands beside the jobs: how many are well and how the last weeks went, or three small charts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from app.pages.metrics import BUILT_IN_LABELS, RANGES, VALUE_TEXTS
from app.pages.verdicts import LONG_AGO
from app.services import calendars, chart_series, deployment
from app.services.calendars import DayState
from app.services.freshness import cache
from app.services.history import JobStatus, Overview

WEEKS_SHOWN = 17
CHARTS_SHOWN = ("duration", "fileSize", "storageSize")
RANGES_SHOWN = ("1W", "2W", "1M", "3M")
DESTINATIONS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class SmallChart:
    """One series over the days of a range: `texts` are its lowest, highest and last value in words."""

    name: str
    label: str
    values: tuple[float | None, ...]
    low_text: str
    high_text: str
    last_text: str


@dataclass(frozen=True, slots=True)
class SidePanel:
    """The panel of one viewer: the days of the calendar and the fullest destinations, or the charts."""

    start_on: date
    end_on: date
    days: Mapping[date, DayState]
    destinations: Sequence[JobStatus]
    charts: Sequence[SmallChart]


def build_panel(kind: str, overview: Overview, range_name: str, visible: frozenset[str] | None) -> SidePanel:
    """What a panel of this kind shows; what the other kind needs is not asked for."""
    end_on = overview.now.date()
    if kind == "charts":
        start_on = end_on - timedelta(days=RANGES[range_name] - 1)
        return SidePanel(start_on, end_on, {}, (), _charts(start_on, end_on, visible))
    start_on = end_on - timedelta(days=WEEKS_SHOWN * 7 - 1)
    days = cache().get(
        ("calendar", visible, end_on),
        lambda: calendars.day_states(start_on, end_on, visible_server_ids=visible),
    )
    return SidePanel(start_on, end_on, days, find_fullest(overview), ())


def find_fullest(overview: Overview) -> list[JobStatus]:
    """The jobs whose destinations will be full first, of those of which that is known."""
    filling = [job for job in overview.jobs if job.full_at is not None]
    return sorted(filling, key=lambda job: job.full_at or LONG_AGO)[:DESTINATIONS_SHOWN]


def known_range(wanted: str | None, preferred: str) -> str:
    """The range that an address asks for, else the one that the viewer likes; a month when it is not shown here."""
    return next((name for name in (wanted, preferred) if name in RANGES_SHOWN), "1M")


def _charts(start_on: date, end_on: date, visible: frozenset[str] | None) -> list[SmallChart]:
    providers = deployment.registry().chart_providers
    names = [name for name in CHARTS_SHOWN if name in providers]
    series = cache().get(
        ("small charts", visible, start_on, end_on),
        lambda: chart_series.daily_series(names, start_on=start_on, end_on=end_on, visible_server_ids=visible),
    )
    shown = []
    for name in names:
        values = tuple(series.values[name])
        known = [value for value in values if value is not None]
        if known:
            write = VALUE_TEXTS[providers[name].unit]
            texts = write(min(known)), write(max(known)), write(known[-1])
            shown.append(SmallChart(name, str(BUILT_IN_LABELS[name]), values, *texts))
    return shown
