"""When a server is asked again that is asked by itself, and when one that cannot be asked."""

from datetime import datetime, timedelta

from app.domain.intervals import BadInterval, parse_interval

# The choices that people have, as interval texts.
CHOICES = ("15m", "1h", "3h", "6h", "12h", "1D", "7D")
LONGEST_WAIT = timedelta(days=1)


def is_choice(text: str) -> bool:
    """Whether a server may be asked that often; the empty text is never."""
    return text == "" or text in CHOICES


def next_pull(interval_text: str, now: datetime, *, failing_since: datetime | None = None) -> datetime | None:
    """When to ask again; None for never, and for an interval that cannot be read.

    After a failure as long is waited as it has been failing, so that the tries become rarer and rarer: twice the time
    each time, a day at most, and never less than the interval.
    """
    if not interval_text:
        return None
    try:
        size = parse_interval(interval_text).size
    except BadInterval:
        return None
    if failing_since is None:
        return now + size
    return now + max(size, min(now - failing_since, LONGEST_WAIT))
