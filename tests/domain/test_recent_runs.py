"""The newest runs of a job, packed."""

from datetime import UTC, datetime, timedelta

from app.domain.recent_runs import KEPT, add_packed, pack_runs, recent_run, unpack_runs

BEGAN_AT = datetime(2031, 5, 4, 1, 2, 3, 456_000, tzinfo=UTC)
RUNS = [recent_run(BEGAN_AT + timedelta(days=day), "Error", 1.5, day, 2**50, 0) for day in range(KEPT + 5)]


def test_what_was_packed_comes_back():
    assert unpack_runs(pack_runs(RUNS[:3])) == RUNS[:3]
    assert unpack_runs(pack_runs(RUNS[:1]))[0].began_at == BEGAN_AT


def test_only_the_newest_are_kept_in_either_way():
    packed = None
    for run in RUNS:
        packed = add_packed(packed, run)
    assert packed == pack_runs(RUNS) == pack_runs(RUNS[-KEPT:])


def test_nothing_is_nothing():
    assert unpack_runs(None) == unpack_runs(b"") == []
