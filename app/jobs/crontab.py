"""Crontab expressions as everybody else writes them: in UTC, with 0 and 7 for Sunday."""

import re
from datetime import UTC

from apscheduler.triggers.cron import CronTrigger

WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")


def read_crontab(expression: str) -> CronTrigger:
    """A trigger for five fields with any blanks between them. Raises ValueError when it cannot be read.

    APScheduler counts weekdays from Monday, so their numbers are turned into names first.
    """
    fields = expression.split()
    if len(fields) != 5:
        raise ValueError(f"expected 5 fields, found {len(fields)}: {expression!r}")
    minute, hour, day, month, weekday = fields
    return CronTrigger(
        minute=minute,
        hour=hour,
        day=day,
        month=month,
        day_of_week=",".join(_weekdays(part) for part in weekday.split(",")),
        timezone=UTC,
    )


def _weekdays(part: str) -> str:
    """One part of the fifth field by names; a step counts from Sunday, as cron does."""
    numbers, _, step = part.partition("/")
    if numbers == "*" and not step:
        return "*"
    match = re.fullmatch(r"(?:\*|([0-7])(?:-([0-7]))?)", numbers)
    if match is None:
        return part
    first = int(match[1] or 0)
    last = int(match[2] or (6 if step or not match[1] else first))
    if last < first or (step and not step.strip("0")):
        raise ValueError(f"the weekdays {part!r} cannot be read")
    return ",".join(WEEKDAYS[number] for number in range(first, last + 1, int(step or 1)))
