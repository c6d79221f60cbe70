"""Uploads on workdays and at weekends, as two series of a chart."""

from app.plugin import ChartProvider

# Days are in UTC, as in all charts; 0 is Monday.
WORKDAYS, WEEKEND = frozenset(range(5)), frozenset({5, 6})


class WorkdayUploads(ChartProvider):
    """Bytes uploaded from Monday to Friday; weekends are gaps."""

    name, label, unit, combine = "workdayUploads", "Uploads on workdays", "bytes", "sum"
    column, weekdays = "uploaded_bytes", WORKDAYS


class WeekendUploads(ChartProvider):
    """Bytes uploaded on Saturdays and Sundays; workdays are gaps."""

    name, label, unit, combine = "weekendUploads", "Uploads at weekends", "bytes", "sum"
    column, weekdays = "uploaded_bytes", WEEKEND
