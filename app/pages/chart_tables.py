"""What charts show, as a table for other programs: the same days, lines and numbers."""

from datetime import timedelta

from app.contracts import Unit
from app.contracts.errors import NotFound
from app.domain.csv_tables import csv_line
from app.pages.metrics import Metrics

UNIT_NAMES: dict[Unit, str] = {"bytes": "bytes", "seconds": "s", "count": "", "ratio": ""}


def as_csv(metrics: Metrics, chart_name: str | None = None) -> str:
    """All charts, or one: a line for each span with its first and last day. Raises NotFound for an unknown chart."""
    charts = [chart for chart in metrics.charts if chart_name in (None, "", chart.name)]
    if not charts:
        raise NotFound("There is no such chart")
    heads = ["from", "to"]
    columns = []
    for chart in charts:
        unit = UNIT_NAMES[chart.unit]
        label = f"{chart.label} ({unit})" if unit else chart.label
        for series in chart.series:
            heads.append(f"{label}: {series.label}" if series.label else label)
            columns.append(series.values)
    lines = [csv_line(heads)]
    for place, day in enumerate(metrics.days):
        last = min(day + timedelta(days=metrics.span_days - 1), metrics.last_on)
        numbers = (None if values[place] is None else round(values[place] or 0, 3) for values in columns)
        lines.append(csv_line([day.isoformat(), last.isoformat(), *numbers]))
    return "\r\n".join(lines) + "\r\n"


def file_name(metrics: Metrics) -> str:
    """What a browser calls the saved table."""
    return f"duplistatus-charts-{metrics.days[0].isoformat()}-{metrics.last_on.isoformat()}.csv"
