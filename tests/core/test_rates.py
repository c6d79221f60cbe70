"""How often something may be done."""

from datetime import UTC, datetime, timedelta
from threading import Thread

from app.core.rate_limits import Limiter

NOW = datetime(2031, 5, 4, tzinfo=UTC)


def test_burst_is_let_through_and_one_more_is_not():
    limiter = Limiter(rate_per_s=1, burst=3)
    assert [limiter.allow("a", NOW) for _ in range(4)] == [None, None, None, 1.0]


def test_refill_is_proportional_to_time():
    limiter = Limiter(rate_per_s=0.5, burst=1)
    limiter.allow("a", NOW)
    assert limiter.allow("a", NOW + timedelta(seconds=1)) == 1.0
    assert limiter.allow("a", NOW + timedelta(seconds=2)) is None


def test_rest_fills_no_further_than_the_burst():
    limiter = Limiter(rate_per_s=1, burst=2)
    limiter.allow("a", NOW)
    later = NOW + timedelta(days=1)
    assert [limiter.allow("a", later) is None for _ in range(3)] == [True, True, False]


def test_keys_do_not_share():
    limiter = Limiter(rate_per_s=1, burst=1)
    limiter.allow("a", NOW)
    assert limiter.allow("b", NOW) is None


def test_clock_that_goes_back_gives_nothing_away():
    limiter = Limiter(rate_per_s=1, burst=1)
    limiter.allow("a", NOW)
    limiter.allow("a", NOW - timedelta(hours=1))
    assert limiter.allow("a", NOW) == 1.0


def test_memory_is_bounded_by_forgetting_the_key_unseen_longest():
    limiter = Limiter(rate_per_s=1, burst=1, keys_kept=2)
    for key in ("a", "b", "c"):
        limiter.allow(key, NOW)
    assert limiter.allow("c", NOW) is not None
    assert limiter.allow("a", NOW) is None


def test_threads_together_get_no_more_than_the_burst():
    limiter = Limiter(rate_per_s=0.001, burst=50)
    allowed = []
    threads = [
        Thread(target=lambda: allowed.extend(limiter.allow("a", NOW) is None for _ in range(50))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(allowed) == 50
