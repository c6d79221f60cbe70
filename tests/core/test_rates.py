"""Rate limits."""

from datetime import UTC, datetime, timedelta
from threading import Thread

from app.core.rate_limits import Limiter

NOW = datetime(2031, 5, 4, tzinfo=UTC)


def test_burst_is_allowed_and_one_more_is_not():
    limiter = Limiter(rate_per_s=1, burst=3)
    assert [limiter.allow("a", NOW) for _ in range(4)] == [None, None, None, 1.0]


def test_refill_is_proportional_to_time():
    limiter = Limiter(rate_per_s=0.5, burst=1)
    limiter.allow("a", NOW)
    assert limiter.allow("a", NOW + timedelta(seconds=1)) == 1.0
    assert limiter.allow("a", NOW + timedelta(seconds=2)) is None


def test_unused_time_refills_at_most_the_burst():
    limiter = Limiter(rate_per_s=1, burst=2)
    limiter.allow("a", NOW)
    later = NOW + timedelta(days=1)
    assert [limiter.allow("a", later) is None for _ in range(3)] == [True, True, False]


def test_keys_have_separate_limits():
    limiter = Limiter(rate_per_s=1, burst=1)
    limiter.allow("a", NOW)
    assert limiter.allow("b", NOW) is None


def test_clock_set_back_refills_nothing():
    limiter = Limiter(rate_per_s=1, burst=1)
    limiter.allow("a", NOW)
    limiter.allow("a", NOW - timedelta(hours=1))
    assert limiter.allow("a", NOW) == 1.0


def test_memory_is_limited_by_dropping_the_oldest_key():
    limiter = Limiter(rate_per_s=1, burst=1, keys_kept=2)
    for key in ("a", "b", "c"):
        limiter.allow(key, NOW)
    assert limiter.allow("c", NOW) is not None
    assert limiter.allow("a", NOW) is None


def test_concurrent_threads_get_no_more_than_the_burst():
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
