"""The page of charts: the query of the URL, the series, and their export as CSV."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from babel.dates import format_date
from flask_babel import gettext as _
from flask_babel import lazy_gettext, ngettext

from app import runtime
from app.accounts.preferences import Preferences
from app.backups import overview
from app.charts import series as charts_series
from app.core.db.orm import cache
from app.core.errors import Refused
from app.plugin import Unit
from app.web.formats import MISSING, count_text, duration_text, number_text, size_text
from app.web.http import csv_line
from app.web.i18n import format_locale
from app.web.plugin_texts import plugin_text

RANGES = {"1W": 7, "2W": 14, "1M": 30, "3M": 90, "6M": 182, "1Y": 365, "2Y": 730}
RANGE_LABELS = {
    "1W": lazy_gettext("Last week"),
    "2W": lazy_gettext("Last 2 weeks"),
    "1M": lazy_gettext("Last month"),
    "3M": lazy_gettext("Last 3 months"),
    "6M": lazy_gettext("Last 6 months"),
    "1Y": lazy_gettext("Last year"),
    "2Y": lazy_gettext("Last 2 years"),
}
# The six of the original, in their order; other providers follow by name.
BUILT_IN = ("uploadedSize", "duration", "fileCount", "fileSize", "storageSize", "backupVersions")
SPLITS = ("", "server", "job")
# More points or lines are indistinguishable in a small chart.
POINTS_SHOWN = 31
LINES_SHOWN = 8
LONGEST_DAYS = 3660
EARLIEST = date(1980, 1, 1)


@dataclass(frozen=True, slots=True)
class ChartQuery:
    """The query: a range up to today, or a first and last day; and the grouping.

    With chosen days, `range` is the one to return to. `split` is "" for sums, else `server` or `job`.
    """

    range: str = "1M"
    start_on: date | None = None
    end_on: date | None = None
    split: str = ""
    usual_range: str = "1M"

    @property
    def own_days(self) -> tuple[date, date] | None:
        """The chosen days; None for a range."""
        return None if self.start_on is None or self.end_on is None else (self.start_on, self.end_on)

    def address(self, **changes: Any) -> dict[str, str]:
        """Return the URL arguments of this query with changes, without defaults."""
        wanted = replace(self, **changes)
        values = {"range": "" if wanted.range == self.usual_range else wanted.range, "by": wanted.split}
        if wanted.own_days is not None:
            values |= {"from": wanted.own_days[0].isoformat(), "to": wanted.own_days[1].isoformat()}
        return {name: value for name, value in values.items() if value}


@dataclass(frozen=True, slots=True)
class Series:
    """A line: its values, oldest first, None if unknown. `label` is "" for the sum."""

    label: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """The lines of one provider.

    Sums and last values may be stacked, means and maxima may not.
    """

    name: str
    label: str
    unit: Unit
    is_stackable: bool
    series: tuple[Series, ...]

    def text(self, value: float | None) -> str:
        """Return a value as text."""
        return MISSING if value is None else VALUE_TEXTS[self.unit](value)


@dataclass(frozen=True, slots=True)
class Metrics:
    """Charts over the same days.

    `days` are the first days of their spans, `groups` the labels of the lines.
    """

    query: ChartQuery
    days: tuple[date, ...]
    last_on: date
    span_days: int
    charts: tuple[Chart, ...]
    groups: tuple[str, ...] = ()

    @property
    def etag(self) -> str:
        """An ETag of all values."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:32]

    @property
    def range_text(self) -> str:
        """The shown range as text."""
        if self.query.own_days is None:
            return str(RANGE_LABELS[self.query.range])
        first, last = (format_date(day, "medium", locale=format_locale()) for day in self.query.own_days)
        return f"{first} \u2013 {last}"

    @property
    def span_text(self) -> str:
        """The span of a point as text, if more than a day."""
        if self.span_days == 1:
            return ""
        return ngettext("each point covers %(num)s day", "each point covers %(num)s days", self.span_days)


VALUE_TEXTS: dict[Unit, Callable[[float], str]] = {
    "bytes": size_text,
    "seconds": duration_text,
    "count": lambda value: count_text(round(value)),
    "ratio": lambda value: f"{number_text(value * 100)} %",
}


def read_query(arguments: Mapping[str, str], preferences: Preferences, today: date) -> ChartQuery:
    """Read the query of a URL.

    Missing and invalid values become the user's preferences.
    """
    usual = preferences.chart_range if preferences.chart_range in RANGES else "1M"
    wanted, split = arguments.get("range", ""), arguments.get("by", "")
    start_on, end_on = _own_days(arguments.get("from", ""), arguments.get("to", ""), today)
    return ChartQuery(
        range=wanted if wanted in RANGES else usual,
        start_on=start_on,
        end_on=end_on,
        split=split if split in SPLITS else "",
        usual_range=usual,
    )


def build_metrics(
    query: ChartQuery,
    now: datetime,
    *,
    server_id: str | None = None,
    job_name: str | None = None,
    visible: frozenset[str] | None,
) -> Metrics:
    """Return the charts of a job, a server, or all visible servers.

    Cached for each version of the database.
    """
    first, last, span_days = _days_of(query, now.date())
    if job_name is not None or (server_id is not None and query.split == "server"):
        query = replace(query, split="")
    groups = _groups(query.split, server_id, now, visible)
    shown = ("metrics", first, last, tuple(groups.items()), server_id, job_name, visible)
    charts = cache().get(
        shown, lambda: _build_charts(first, last, span_days, groups, server_id, job_name, visible), moment=now.date()
    )
    days = tuple(first + timedelta(days=offset) for offset in range(0, (last - first).days + 1, span_days))
    labels = tuple(dict.fromkeys(groups.values()))
    charts = tuple(replace(chart, label=label_of(chart.name)) for chart in charts)
    return Metrics(query, days, last, span_days, charts, labels)


def label_of(name: str) -> str:
    """Return the label of a chart in the language of the page."""
    provider = runtime.registry().chart_providers[name]
    return plugin_text(provider, provider.label)


def _own_days(first: str, last: str, today: date) -> tuple[date | None, date | None]:
    """Return the chosen days in order, within limits; one alone gives a month."""
    start_on, end_on = (day and min(max(day, EARLIEST), today) for day in (_day(first), _day(last)))
    month = timedelta(days=RANGES["1M"] - 1)
    if start_on and end_on:
        start_on, end_on = min(start_on, end_on), max(start_on, end_on)
        return max(start_on, end_on - timedelta(days=LONGEST_DAYS)), end_on
    if start_on:
        return start_on, min(start_on + month, today)
    return (end_on - month, end_on) if end_on else (None, None)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


def _days_of(query: ChartQuery, today: date) -> tuple[date, date, int]:
    """Return the first and last day, and the number of days per point.

    That is one, three, or whole weeks if more are needed, so that weekends weigh the same in each. A range up to today
    starts earlier if necessary, so that its last point is complete.
    """
    if query.own_days is not None:
        first, last = query.own_days
        return first, last, _span_of((last - first).days + 1)
    length = RANGES[query.range]
    span_days = _span_of(length)
    length = -(-length // span_days) * span_days
    return today - timedelta(days=length - 1), today, span_days


def _span_of(length: int) -> int:
    span_days = -(-length // POINTS_SHOWN)
    if span_days <= 1:
        return 1
    return 3 if span_days <= 3 else -(-span_days // 7) * 7


def _groups(split: str, server_id: str | None, now: datetime, visible: frozenset[str] | None) -> dict[int, str]:
    """Return the line of each job by its id; the smallest share one. Empty for sums."""
    if not split:
        return {}
    jobs = [job for job in overview.overview(now, visible).jobs if server_id in (None, job.server_id)]
    names: dict[int, str] = {}
    sizes: dict[str, int] = {}
    for job in jobs:
        alone = job.name if server_id is not None else f"{job.server_display_name}: {job.name}"
        names[job.job_id] = job.server_display_name if split == "server" else alone
        sizes[names[job.job_id]] = sizes.get(names[job.job_id], 0) + job.storage_bytes
    kept = sorted(sizes, key=lambda name: (-sizes[name], name))
    if len(kept) > LINES_SHOWN:
        kept = kept[: LINES_SHOWN - 1]
    order = {name: index for index, name in enumerate(sorted(kept, key=str.casefold))}
    rest = _("All others")
    found = {job_id: name if name in order else rest for job_id, name in names.items()}
    return dict(sorted(found.items(), key=lambda item: order.get(item[1], LINES_SHOWN)))


def _build_charts(
    first: date,
    last: date,
    span_days: int,
    groups: Mapping[int, str],
    server_id: str | None,
    job_name: str | None,
    visible: frozenset[str] | None,
) -> tuple[Chart, ...]:
    providers = runtime.registry().chart_providers
    names = [name for name in BUILT_IN if name in providers]
    names += sorted(set(providers) - set(names))
    scope: dict[str, Any] = {"server_id": server_id, "job_name": job_name, "visible_server_ids": visible}
    scope |= {"start_on": first, "end_on": last, "span_days": span_days}
    if groups:
        values = charts_series.grouped_series(names, groups, **scope)
    else:
        values = {name: {"": sums} for name, sums in charts_series.daily_series(names, **scope).values.items()}
    return tuple(
        Chart(
            name,
            providers[name].label,
            providers[name].unit,
            providers[name].combine in ("sum", "last"),
            tuple(Series(label, tuple(line)) for label, line in values[name].items()),
        )
        for name in names
    )


# Export as CSV: the same days, lines and numbers

UNIT_NAMES: dict[Unit, str] = {"bytes": "bytes", "seconds": "s", "count": "", "ratio": ""}


def as_csv(metrics: Metrics, chart_name: str | None = None) -> str:
    """Return all charts, or one, as CSV: a line per span with its first and last day.

    Raise Refused (404) for an unknown chart.
    """
    charts = [chart for chart in metrics.charts if chart_name in (None, "", chart.name)]
    if not charts:
        raise Refused("chart_not_found")
    heads = ["from", "to"]
    columns = []
    for chart in charts:
        unit = UNIT_NAMES[chart.unit]
        label = f"{chart.label} ({unit})" if unit else chart.label
        for series in chart.series:
            heads.append(f"{label}: {series.label}" if series.label else label)
            columns.append(series.values)
    lines = [csv_line(heads)]
    for index, day in enumerate(metrics.days):
        last = min(day + timedelta(days=metrics.span_days - 1), metrics.last_on)
        numbers = (None if values[index] is None else round(values[index] or 0, 3) for values in columns)
        lines.append(csv_line([day.isoformat(), last.isoformat(), *numbers]))
    return "\r\n".join(lines) + "\r\n"


def file_name(metrics: Metrics) -> str:
    """Return the file name of the download."""
    return f"duplistatus-charts-{metrics.days[0].isoformat()}-{metrics.last_on.isoformat()}.csv"
