"""Whether a job is overdue, the grace period, and when to repeat the notification; in exact time.

`next_run` computes the deadline of a job, the task in `overdue_check` finds the overdue ones in the database.

Sources: docs/compatibility/overdue.md#rule-d and docs/compatibility/overdue.md#rule-f.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from app.core.settings.declarations import Setting, declare
from app.plugin.marking import N_

DEFAULT_TOLERANCE = "2h"
TOLERANCES: Mapping[str, timedelta] = MappingProxyType(
    {
        "no_tolerance": timedelta(),
        "5min": timedelta(minutes=5),
        "15min": timedelta(minutes=15),
        "30min": timedelta(minutes=30),
        "1h": timedelta(hours=1),
        "2h": timedelta(hours=2),
        "4h": timedelta(hours=4),
        "6h": timedelta(hours=6),
        "12h": timedelta(hours=12),
        "1d": timedelta(days=1),
    }
)

OVERDUE_TOLERANCE = declare(
    Setting(
        "overdue_tolerance",
        str,
        default=DEFAULT_TOLERANCE,
        choices=tuple(TOLERANCES),
        wire="overdue_tolerance",
        attribute="tolerance",
        is_required=True,
        label=N_("Grace period"),
        help=N_("How late a run may be before it is overdue; can be set for each job"),
    )
)

DEFAULT_FREQUENCY = "every_day"
# Time until the notification of an overdue job is repeated; None is never.
FREQUENCIES: Mapping[str, timedelta | None] = MappingProxyType(
    {
        "onetime": None,
        "every_day": timedelta(days=1),
        "every_week": timedelta(days=7),
        "every_month": timedelta(days=30),
    }
)


def is_overdue(overdue_at: datetime | None, now: datetime) -> bool:
    """Return whether a deadline has passed; exactly at the deadline it has not."""
    return overdue_at is not None and now > overdue_at


def should_alert_again(
    last_alert_at: datetime | None, last_run_at: datetime | None, frequency: str, now: datetime
) -> bool:
    """Return whether to notify of an overdue job: first, after a newer run, repeated.

    `last_alert_at` is the start of the check that last notified. Raises KeyError for an unknown frequency.
    """
    if last_alert_at is None or (last_run_at is not None and last_alert_at < last_run_at):
        return True
    wait = FREQUENCIES[frequency]
    return wait is not None and last_alert_at.astimezone(UTC) + wait <= now
