"""When a message that did not get through is tried again."""

from datetime import datetime, timedelta

# Waits after the first failure, the second and so on: nine tries over some sixteen hours. A mail server that is mended
# in the morning still brings the alarm of the night.
WAITS = (
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=7),
    timedelta(minutes=20),
    timedelta(hours=1),
    timedelta(hours=2),
    timedelta(hours=4),
    timedelta(hours=8),
)
MOST_TRIES = len(WAITS) + 1
# How far, as a share of the wait, a try may come earlier or later, so that many do not come at once.
JITTER = 0.2
# What a server may ask for in place of these waits.
SHORTEST_ASKED, LONGEST_ASKED = timedelta(seconds=1), timedelta(hours=24)


def longest_wait(tries: int) -> timedelta:
    """How far ahead the next try may lie after some failed ones; what lies further was planned by another clock."""
    return WAITS[min(tries, len(WAITS)) - 1] * (1 + JITTER) if tries else timedelta()


def next_try_at(tries: int, now: datetime, chance: float, asked_s: float | None = None) -> datetime | None:
    """The instant of the next try after `tries` failed ones, at least one; None when it is time to give up.

    `chance` is a random number from 0 to 1. `asked_s` are the seconds that the server asks to wait. The next try is
    never earlier than that, up to a day. Only the first one comes earlier than planned, else a server that always
    asks for a second would use up all tries in ten.
    """
    if tries >= MOST_TRIES:
        return None
    planned = WAITS[max(tries, 1) - 1] * (1 + JITTER * (2 * chance - 1))
    if asked_s is None:
        return now + planned
    asked = min(max(timedelta(seconds=asked_s), SHORTEST_ASKED), LONGEST_ASKED)
    return now + (asked if tries <= 1 else max(asked, planned))
