"""What counts as unusual, at the edges of each limit."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.anomalies import Limits, describe, find_anomalies
from app.domain.recent_runs import recent_runs

MIB, GIB = 1024**2, 1024**3
LIMITS = Limits()
USUAL = {"status": "Success", "duration_s": 600.0, "examined_files": 1000, "examined_bytes": GIB}


def runs(count: int = 30, *, uploads: list[int] | None = None, newest: dict | None = None) -> list:
    """Some steady runs, and the newest one with what is different about it."""
    began_at = datetime(2031, 5, 4, tzinfo=UTC)
    steady = [
        run
        for day in range(count)
        for run in recent_runs(
            began_at + timedelta(days=day),
            **USUAL,
            uploaded_bytes=(uploads or [100 * MIB, 110 * MIB, 90 * MIB])[day % len(uploads or [0] * 3)],
        )
    ]
    last = USUAL | {"uploaded_bytes": 100 * MIB} | (newest or {})
    return [*steady, *recent_runs(began_at + timedelta(days=count), **last)]


@pytest.mark.parametrize(
    ("newest", "words"),
    [
        ({}, []),
        ({"uploaded_bytes": 900 * MIB}, ["upload 9 times as usual"]),
        ({"uploaded_bytes": 299 * MIB}, []),  # not three times
        ({"uploaded_bytes": 300 * MIB}, ["upload 3 times as usual"]),
        ({"uploaded_bytes": 0}, []),  # a quiet day
        ({"duration_s": 1800.0}, ["duration 3 times as usual"]),
        ({"duration_s": 10.0}, []),
        ({"examined_files": 600}, ["40 % fewer files"]),
        ({"examined_files": 701}, []),  # not 30 %
        ({"examined_files": 1700}, ["70 % more files"]),
        ({"examined_bytes": GIB // 2}, ["50 % less data"]),
        ({"examined_bytes": 2 * GIB, "examined_files": 2000}, ["100 % more data", "100 % more files"]),
        ({"examined_files": 0, "status": "Fatal"}, []),  # the status says more
    ],
)
def test_a_figure_far_from_the_median_is_told_in_words(newest, words):
    assert [describe(anomaly) for anomaly in find_anomalies(runs(newest=newest), LIMITS)] == words


def test_a_wide_spread_makes_much_usual():
    swinging = [MIB, 900 * MIB, 300 * MIB, 1200 * MIB]
    assert find_anomalies(runs(uploads=swinging, newest={"uploaded_bytes": 1900 * MIB}), LIMITS) == []


def test_small_differences_are_no_news_however_many_times():
    assert find_anomalies(runs(uploads=[MIB], newest={"uploaded_bytes": 40 * MIB}), LIMITS) == []


def test_an_upload_where_there_was_none_is_told():
    (anomaly,) = find_anomalies(runs(uploads=[0], newest={"uploaded_bytes": 80 * MIB}), LIMITS)
    assert describe(anomaly) == "upload where there usually is none"


@pytest.mark.parametrize(("count", "is_told"), [(7, False), (8, True)])
def test_too_few_runs_make_no_habit(count, is_told):
    assert bool(find_anomalies(runs(count, newest={"uploaded_bytes": GIB}), LIMITS)) is is_told


def test_failed_runs_are_not_compared_with():
    history = runs(30, newest={"examined_files": 600})
    failed = [run._replace(letter="E", examined_files=5) for run in history[:20]]
    assert [describe(found) for found in find_anomalies([*failed, *history[20:]], LIMITS)] == ["40 % fewer files"]


def test_limits_can_be_set_and_switched_off():
    history = runs(newest={"uploaded_bytes": 250 * MIB})
    assert find_anomalies(history, Limits.read({"times": 2.0, "unknown": 1}))
    assert not find_anomalies(runs(newest={"uploaded_bytes": GIB}), Limits.read({"is_enabled": False}))


def test_without_runs_nothing_is_unusual():
    assert find_anomalies([], LIMITS) == []


@pytest.mark.parametrize("outcome", ["aborted", "dry_run"])
def test_a_run_that_saved_nothing_is_passed_over(outcome):
    odd = runs(newest={"uploaded_bytes": 10 * GIB})
    unsaved = runs(newest={"outcome": outcome, "uploaded_bytes": 90 * GIB})[-1]
    found = find_anomalies(odd, LIMITS)
    assert [anomaly.figure for anomaly in found] == ["upload"]
    assert find_anomalies([*odd, unsaved], LIMITS) == found
    assert find_anomalies([*odd[:-1], *[unsaved] * 20, odd[-1]], LIMITS) == found
