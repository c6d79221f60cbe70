"""How an instant is written where programs read it."""

from datetime import UTC, datetime


def iso(instant: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and Z."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
