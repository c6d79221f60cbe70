"""What the jobs upload on workdays and what at weekends: two series that a chart can lay over each other."""

from app.contracts import ChartProvider, Run

SATURDAY = 5


def is_weekend(run: Run) -> bool:
    """Whether the run began on a Saturday or Sunday, UTC: charts count days in UTC too."""
    return run.began_at.weekday() >= SATURDAY


class WorkdayUploads(ChartProvider):
    """Bytes uploaded from Monday to Friday; weekends are gaps."""

    name, label, unit, combine = "workdayUploads", "Uploads on workdays", "bytes", "sum"

    def value(self, run: Run) -> float | None:
        """The uploaded bytes of a run on a workday."""
        return None if is_weekend(run) else run.uploaded_bytes


class WeekendUploads(ChartProvider):
    """Bytes uploaded on Saturdays and Sundays; workdays are gaps."""

    name, label, unit, combine = "weekendUploads", "Uploads at weekends", "bytes", "sum"

    def value(self, run: Run) -> float | None:
        """The uploaded bytes of a run at a weekend."""
        return run.uploaded_bytes if is_weekend(run) else None
