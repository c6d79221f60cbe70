"""When a destination will be full: a robust trend of what a job stores, and the room that is left."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import combinations
from statistics import median

DAYS_SEEN = 91
DAYS_IN_WEEK = 7
LEAST_WEEKS = 4
# What lies further away depends on more than a trend.
HORIZON = timedelta(days=3 * 365)
# People are notified once when a destination will be full in less than so many days, the longest first.
WARNING_DAYS = (30, 7)
# Above so many days, and with this share of what is stored there free, they may be notified again.
ENOUGH_DAYS = 45
_ENOUGH_SHARE = 0.01
# Days of figures that a message needs, and after which a job without runs fills nothing any more.
LEAST_DAYS = LEAST_WEEKS * DAYS_IN_WEEK
LONGEST_PAUSE = timedelta(days=35)


def weekly_points(days: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The last day of each week with what was stored on it, oldest first, of days (since 1970) in their order."""
    return list({day // DAYS_IN_WEEK: (day, stored_bytes) for day, stored_bytes in days}.values())


def growth_a_day(points: Sequence[tuple[int, int]]) -> float | None:
    """How many bytes are added a day, of points (day, bytes); None when there are too few to tell.

    The median of the slopes between any two points: deleting old versions now and then, or one odd report, does not
    bend it (https://en.wikipedia.org/wiki/Theil-Sen_estimator).
    """
    if len(points) < LEAST_WEEKS:
        return None
    return median((late[1] - early[1]) / (late[0] - early[0]) for early, late in combinations(points, 2))


def free_bytes(stored_bytes: int, entered_bytes: int | None, reported_bytes: int | None) -> int | None:
    """The room left at a destination: of the size that a person entered, else what the destination reported."""
    return max(entered_bytes - stored_bytes, 0) if entered_bytes else reported_bytes


def full_at(left_bytes: int | None, growth_bytes: float | None, from_at: datetime | None) -> datetime | None:
    """When nothing will be left if it goes on like this; None when that is unknown, never, or years away."""
    if left_bytes is None or from_at is None:
        return None
    if left_bytes == 0:
        return from_at
    if not growth_bytes or growth_bytes < 0:
        return None
    days = left_bytes / growth_bytes
    return from_at + timedelta(days=days) if days < HORIZON.days else None


def next_warning(at: datetime | None, now: datetime, notified_days: int | None) -> int | None:
    """Return of which of `WARNING_DAYS` people are to be notified, for a destination that will be full at an instant.

    `notified_days` is the last one of which they were. None: of none.
    """
    if at is None:
        return None
    due = min((days for days in WARNING_DAYS if at - now < timedelta(days=days)), default=None)
    return due if due is not None and (notified_days is None or due < notified_days) else None


def is_room_again(at: datetime | None, now: datetime, left_bytes: int | None, stored_bytes: int) -> bool:
    """Say whether people who were notified of a destination may be notified again: space was made since.

    The share keeps a full destination, where a little is deleted and stored again, from making messages in turns.
    """
    is_far = at is None or at - now > timedelta(days=ENOUGH_DAYS)
    return is_far and (left_bytes is None or left_bytes > stored_bytes * _ENOUGH_SHARE)
