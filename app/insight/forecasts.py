"""Forecast when a destination is full: a robust trend of storage, and free space."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import combinations
from statistics import median

DAYS_SEEN = 91
DAYS_IN_WEEK = 7
LEAST_WEEKS = 4
# A trend is not reliable for longer.
HORIZON = timedelta(days=3 * 365)
# A notification is sent once when a destination will be full in less than this many days, the longest first.
WARNING_DAYS = (30, 7)
# Above this many days, and with this share of the stored bytes free, the notifications are reset.
ENOUGH_DAYS = 45
_ENOUGH_SHARE = 0.01
# Days of figures that a message needs, and days without runs after which a job is considered inactive.
LEAST_DAYS = LEAST_WEEKS * DAYS_IN_WEEK
LONGEST_PAUSE = timedelta(days=35)


def weekly_points(days: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the last day of each week with its stored bytes, oldest first.

    `days` are pairs of day (since 1970) and bytes, in order.
    """
    return list({day // DAYS_IN_WEEK: (day, stored_bytes) for day, stored_bytes in days}.values())


def growth_a_day(points: Sequence[tuple[int, int]]) -> float | None:
    """Return the growth in bytes per day of points (day, bytes); None if too few.

    The median of the slopes between any two points is robust against deletions of old versions and single outliers
    (https://en.wikipedia.org/wiki/Theil-Sen_estimator).
    """
    if len(points) < LEAST_WEEKS:
        return None
    return median((late[1] - early[1]) / (late[0] - early[0]) for early, late in combinations(points, 2))


def free_bytes(stored_bytes: int, entered_bytes: int | None, reported_bytes: int | None) -> int | None:
    """Return a destination's free space: from the entered, else the reported size."""
    return max(entered_bytes - stored_bytes, 0) if entered_bytes else reported_bytes


def full_at(left_bytes: int | None, growth_bytes: float | None, from_at: datetime | None) -> datetime | None:
    """Return when the free space will be used up at the current growth.

    None if unknown, never, or years away.
    """
    if left_bytes is None or from_at is None:
        return None
    if left_bytes == 0:
        return from_at
    if not growth_bytes or growth_bytes < 0:
        return None
    days = left_bytes / growth_bytes
    return from_at + timedelta(days=days) if days < HORIZON.days else None


def next_warning(at: datetime | None, now: datetime, notified_days: int | None) -> int | None:
    """Return the number of days, one of `WARNING_DAYS`, to warn of; None if none.

    `at` is when the destination will be full, `notified_days` the last warning.
    """
    if at is None:
        return None
    due = min((days for days in WARNING_DAYS if at - now < timedelta(days=days)), default=None)
    return due if due is not None and (notified_days is None or due < notified_days) else None


def is_space_again(at: datetime | None, now: datetime, left_bytes: int | None, stored_bytes: int) -> bool:
    """Return whether a destination has enough space again to reset its warnings.

    The share prevents repeated messages from a full destination where a little is deleted and stored again.
    """
    is_far = at is None or at - now > timedelta(days=ENOUGH_DAYS)
    return is_far and (left_bytes is None or left_bytes > stored_bytes * _ENOUGH_SHARE)
