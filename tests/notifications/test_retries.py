"""When a message is retried."""

from datetime import UTC, datetime, timedelta

import pytest

from app.notifications.delivery import MOST_TRIES, longest_wait, next_try_at

NOW = datetime(2031, 5, 4, 12, tzinfo=UTC)


def test_nine_attempts_take_a_night():
    at, tries = NOW, 0
    while again_at := next_try_at(tries := tries + 1, at, 0.5):
        at = again_at
    assert tries == MOST_TRIES == 9
    assert timedelta(hours=15) <= at - NOW <= timedelta(hours=16)


def test_the_delays_increase():
    waits = [next_try_at(tries, NOW, 0.5) - NOW for tries in range(1, MOST_TRIES)]
    assert waits == sorted(waits)
    assert waits[0] == timedelta(seconds=30)


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 24), (0.5, 30), (1.0, 36)])
def test_jitter_is_at_most_a_fifth(chance: float, seconds: int):
    assert next_try_at(1, NOW, chance) == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize("tries", range(1, MOST_TRIES))
def test_no_delay_exceeds_the_maximum(tries: int):
    assert next_try_at(tries, NOW, 1.0) == NOW + longest_wait(tries)


def test_before_the_first_attempt_there_is_no_delay():
    assert longest_wait(0) == timedelta()


@pytest.mark.parametrize("tries", [MOST_TRIES, MOST_TRIES + 3])
def test_after_the_last_attempt_there_is_no_delay(tries: int):
    assert next_try_at(tries, NOW, 0.5) is None
