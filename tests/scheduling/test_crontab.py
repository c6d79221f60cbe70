"""Crontab expressions mean what cron means."""

from datetime import UTC, datetime

import pytest

from app.scheduling.tasks import read_crontab

SUNDAY = datetime(2031, 5, 4, 12, 0, 30, tzinfo=UTC)


def after(expression: str, at: datetime = SUNDAY) -> datetime:
    return read_crontab(expression).get_next_fire_time(None, at)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("*/5 * * * *", datetime(2031, 5, 4, 12, 5, tzinfo=UTC)),
        ("*/20   *    *            *     *", datetime(2031, 5, 4, 12, 20, tzinfo=UTC)),
        ("0 2 * * *", datetime(2031, 5, 5, 2, 0, tzinfo=UTC)),
        ("0 */2 * * *", datetime(2031, 5, 4, 14, 0, tzinfo=UTC)),
        ("0 4 * * 0", datetime(2031, 5, 11, 4, 0, tzinfo=UTC)),  # the next Sunday, not a Monday
        ("0 4 * * 7", datetime(2031, 5, 11, 4, 0, tzinfo=UTC)),
        ("0 4 * * 1", datetime(2031, 5, 5, 4, 0, tzinfo=UTC)),
        ("0 4 * * 3-5", datetime(2031, 5, 7, 4, 0, tzinfo=UTC)),
        ("0 4 * * 2,6", datetime(2031, 5, 6, 4, 0, tzinfo=UTC)),
        ("0 4 * * */2", datetime(2031, 5, 6, 4, 0, tzinfo=UTC)),
        ("0 4 * * fri", datetime(2031, 5, 9, 4, 0, tzinfo=UTC)),
    ],
)
def test_next_tick(expression: str, expected: datetime):
    assert after(expression) == expected


@pytest.mark.parametrize(
    "expression", ["", "* * * *", "* * * * * *", "61 * * * *", "x * * * *", "* * * * 8", "* * * * 5-2", "* * * * */0"]
)
def test_unreadable_expression_is_rejected(expression: str):
    with pytest.raises(ValueError):  # noqa: PT011 (APScheduler words its own)
        read_crontab(expression)
