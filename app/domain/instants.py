"""How an instant is written where programs read it, and as the number that is stored."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def iso(instant: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and Z."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def cut_to_milliseconds(instant: datetime) -> datetime:
    """The instant without finer fractions, as it is stored."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def to_milliseconds(instant: datetime) -> int:
    """Milliseconds since 1970 in UTC; finer fractions are cut. Raises ValueError for a time without zone."""
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    return (instant - EPOCH) // MILLISECOND


def from_milliseconds(milliseconds: int) -> datetime:
    """The aware UTC instant for a count of milliseconds since 1970."""
    return EPOCH + timedelta(milliseconds=milliseconds)
