"""What may be asked of the charts, and the form of their points."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Self
from zoneinfo import ZoneInfo

from marshmallow import fields

from app.api.runs import dump_day_point, dump_run_point
from app.contracts import ChartProvider
from app.contracts import Run as ChartRun
from app.contracts.errors import AppError
from app.domain.reported_values import read_instant
from app.services.chart_runs import value_of
from app.services.charts import DayPoint

# A year alone, or year and month, are dates too in JavaScript.
SHORT_DATES = {4: "-01-01", 7: "-01"}
SHORT_DATE = re.compile(r"\d{4}(-\d\d)?")


@dataclass(frozen=True, slots=True)
class ChartQuery:
    """The range, if one is asked for, both ends included, and the names of further series."""

    start_at: datetime | None = None
    end_at: datetime | None = None
    series: tuple[str, ...] = ()
    wants_all: bool = False

    @property
    def has_range(self) -> bool:
        """Whether only some time is wanted."""
        return self.start_at is not None

    @property
    def range(self) -> dict[str, datetime | None]:
        """The range as arguments of the services."""
        return {"start_at": self.start_at, "end_at": self.end_at}

    @classmethod
    def read(cls, query: Mapping[str, str], zone: ZoneInfo) -> Self:
        """Read the query; one end of a range alone is ignored. Raises AppError for what is no date."""
        series = tuple(name for name in query.get("series", "").split(",") if name)
        wants_all = query.get("all") == "true"
        start, end = query.get("startDate"), query.get("endDate")
        if not start or not end:
            return cls(series=series, wants_all=wants_all)
        try:
            return cls(_read_date(start, zone), _read_date(end, zone), series, wants_all)
        except ValueError as error:
            raise AppError("Invalid date parameters") from error


CHART_QUERY: dict[str, fields.Field[Any]] = {
    "startDate": fields.String(metadata={"description": "ISO 8601; counts only together with `endDate`"}),
    "endDate": fields.String(metadata={"description": "ISO 8601; counts only together with `startDate`"}),
    "series": fields.String(metadata={"description": "Names of further series, with commas between them"}),
}
ALL_QUERY: dict[str, fields.Field[Any]] = {**CHART_QUERY, "all": fields.Boolean()}


def run_point_writer(providers: Mapping[str, ChartProvider]) -> Callable[[ChartRun], dict[str, Any]]:
    """What turns a run into a point with the values of these providers beside the six usual ones."""

    def dump(run: ChartRun) -> dict[str, Any]:
        return dump_run_point(run, UTC) | {name: value_of(provider, run) for name, provider in providers.items()}

    return dump


def dump_day_points(
    points: Iterable[DayPoint], further: Mapping[date, Mapping[str, float | None]]
) -> list[dict[str, Any]]:
    """Points of days, with further values for each day."""
    return [{**dump_day_point(point), **further.get(point.day, {})} for point in points]


def _read_date(text: str, zone: ZoneInfo) -> datetime:
    written = text.strip()
    return read_instant(written + SHORT_DATES[len(written)] if SHORT_DATE.fullmatch(written) else written, zone)
