"""Charts over time: six series over the same days, as numbers for drawing and as texts for reading."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import fmean

from app.contracts import Combine, Unit
from app.pages.formats import MISSING, count_text, duration_text, size_text
from app.services import chart_series, deployment

RANGES = {"1W": 7, "2W": 14, "1M": 30, "3M": 90, "1Y": 365, "2Y": 730}
RANGE_LABELS = {
    "1W": "Last week",
    "2W": "Last 2 weeks",
    "1M": "Last month",
    "3M": "Last quarter",
    "1Y": "Last year",
    "2Y": "Last 2 years",
}
CHARTS = ("uploadedSize", "duration", "fileCount", "fileSize", "storageSize", "backupVersions")
POINTS_SHOWN = 91
DEFAULT_RANGE = "1M"


@dataclass(frozen=True, slots=True)
class Chart:
    """One series: its values as numbers for drawing and as texts for reading."""

    name: str
    label: str
    unit: Unit
    values: tuple[float | None, ...]

    def text(self, place: int) -> str:
        """The value at a place, in words."""
        value = self.values[place]
        return MISSING if value is None else VALUE_TEXTS[self.unit](value)


@dataclass(frozen=True, slots=True)
class Metrics:
    """Charts over the same days; `days` are the first days of their spans."""

    range: str
    days: tuple[date, ...]
    span_days: int
    charts: tuple[Chart, ...]

    @property
    def etag(self) -> str:
        """Changes when any value does."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:32]


VALUE_TEXTS: dict[Unit, Callable[[float], str]] = {
    "bytes": size_text,
    "seconds": duration_text,
    "count": lambda value: count_text(round(value)),
    "ratio": lambda value: f"{value:.0%}",
}


def read_range(arguments: Mapping[str, str]) -> str:
    """The range that an address asks for; a month where it says nothing that we know."""
    wanted = arguments.get("range", DEFAULT_RANGE)
    return wanted if wanted in RANGES else DEFAULT_RANGE


def build_metrics(
    range_name: str,
    now: datetime,
    *,
    server_id: str | None = None,
    job_name: str | None = None,
    visible: frozenset[str] | None = None,
) -> Metrics:
    """The charts of a range that ends today: of a job, a server, or of all that may be seen."""
    length = RANGES[range_name]
    span_days = -(-length // POINTS_SHOWN)
    if span_days > 1:
        span_days = -(-span_days // 7) * 7  # whole weeks, so that weekends weigh the same in each
        length = -(-length // span_days) * span_days
    providers = deployment.registry().chart_providers
    names = [name for name in CHARTS if name in providers]
    start_on = now.date() - timedelta(days=length - 1)
    series = chart_series.daily_series(
        names,
        server_id=server_id,
        job_name=job_name,
        start_on=start_on,
        end_on=now.date(),
        visible_server_ids=visible,
    )
    return Metrics(
        range=range_name,
        days=tuple(series.days[::span_days]),
        span_days=span_days,
        charts=tuple(
            Chart(
                name,
                providers[name].label,
                providers[name].unit,
                into_spans(series.values[name], span_days, providers[name].combine),
            )
            for name in names
        ),
    )


def into_spans(values: Sequence[float | None], length: int, combine: Combine) -> tuple[float | None, ...]:
    """Gather daily values into spans of `length` days, oldest first; a span without any value is None."""
    spans = [values[first : first + length] for first in range(0, len(values), length)]
    return tuple(_combined([value for value in span if value is not None], combine) for span in spans)


def _combined(values: list[float], combine: Combine) -> float | None:
    if not values:
        return None
    gather: dict[Combine, Callable[[list[float]], float]] = {
        "sum": sum,
        "max": max,
        "mean": fmean,
        "last": lambda found: found[-1],
    }
    return gather[combine](values)
