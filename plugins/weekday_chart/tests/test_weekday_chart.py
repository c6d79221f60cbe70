"""Workdays and weekends: the common contract, with the days at the boundaries."""

from datetime import UTC, datetime, timedelta

from app.plugin import Run
from app.plugin.testing.charts import ChartContract, make_run
from plugins.weekday_chart import WeekendUploads, WorkdayUploads

FRIDAY_EVENING = datetime(2031, 5, 2, 23, 59, 59, 999_000, tzinfo=UTC)
SATURDAY = FRIDAY_EVENING + timedelta(milliseconds=1)
SUNDAY_EVENING = FRIDAY_EVENING + timedelta(days=2)
MONDAY = SATURDAY + timedelta(days=2)


def uploaded_at(moment: datetime) -> Run:
    return make_run(began_at=moment, uploaded_bytes=42)


class TestWorkdayUploads(ChartContract):
    provider_class = WorkdayUploads

    def examples(self) -> list[tuple[Run, float | None]]:
        return [
            (uploaded_at(FRIDAY_EVENING), 42),
            (uploaded_at(SATURDAY), None),
            (uploaded_at(SUNDAY_EVENING), None),
            (uploaded_at(MONDAY), 42),
        ]


class TestWeekendUploads(ChartContract):
    provider_class = WeekendUploads

    def examples(self) -> list[tuple[Run, float | None]]:
        return [
            (uploaded_at(FRIDAY_EVENING), None),
            (uploaded_at(SATURDAY), 42),
            (uploaded_at(SUNDAY_EVENING), 42),
            (uploaded_at(MONDAY), None),
        ]
