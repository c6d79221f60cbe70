"""The newest runs of a job, packed."""

import struct
from datetime import UTC, datetime, timedelta

import pytest

from app.reports.outcomes import MAX_RUNS, add_packed, pack_runs, recent_runs, unpack_runs, usual_interval

BEGAN_AT = datetime(2031, 5, 4, 1, 2, 3, 456_000, tzinfo=UTC)
RUNS = [
    run
    for day in range(MAX_RUNS + 5)
    for run in recent_runs(BEGAN_AT + timedelta(days=day), "Error", 1.5, day, 2**50, 0)
]


def test_packed_runs_are_unpacked():
    assert unpack_runs(pack_runs(RUNS[:3])) == RUNS[:3]
    assert unpack_runs(pack_runs(RUNS[:1]))[0].began_at == BEGAN_AT


def test_modified_and_deleted_files_are_unpacked_with_missing_figures():
    [run] = recent_runs(BEGAN_AT, "Success", 1.5, 1, 2, 3, modified_files=2**40, deleted_files=5, not_told=63)
    assert unpack_runs(pack_runs([run])) == [run]
    assert (run.modified_files, run.deleted_files, run.not_told) == (2**40, 5, 63)


@pytest.mark.parametrize("count", range(1, MAX_RUNS + 1))
def test_runs_in_the_old_format_are_never_misread(count):
    with pytest.raises(struct.error):
        unpack_runs(bytes(37 * count))


def test_both_functions_keep_only_the_newest():
    packed = None
    for run in RUNS:
        packed = add_packed(packed, [run])
    assert packed == pack_runs(RUNS) == pack_runs(RUNS[-MAX_RUNS:])


def test_empty_list_is_packed_as_nothing():
    assert unpack_runs(None) == unpack_runs(b"") == []


@pytest.mark.parametrize(
    ("outcome", "letter", "counts"),
    [("", "E", True), ("stopped", "E", True), ("partial", "E", True), ("aborted", "A", False), ("dry_run", "D", False)],
)
def test_an_unsaved_run_has_its_own_letter(outcome, letter, counts):
    [run] = recent_runs(BEGAN_AT, "Error", 1.5, 1, 2, 3, outcome)
    assert (run.letter, run.counts, run.has_failed) == (letter, counts, True)


def test_a_good_run_has_not_failed():
    [run] = recent_runs(BEGAN_AT, "Success", 1.5, 1, 2, 3)
    assert (run.counts, run.has_failed) == (True, False)


def test_an_aborted_run_is_inserted_before_the_run_that_reports_it():
    earlier = BEGAN_AT - timedelta(days=1)
    broken_off, run = recent_runs(BEGAN_AT, "Success", 1.5, 1, 2, 3, "", earlier)
    assert (broken_off.letter, broken_off.began_at, broken_off.counts) == ("B", earlier, False)
    assert (run.letter, run.began_at) == ("S", BEGAN_AT)


@pytest.mark.parametrize("later_s", [0, 1])
def test_a_run_aborted_at_or_after_the_begin_is_ignored(later_s):
    assert len(recent_runs(BEGAN_AT, "Success", 1.5, 1, 2, 3, "", BEGAN_AT + timedelta(seconds=later_s))) == 1


def test_both_are_added_together():
    pair = recent_runs(BEGAN_AT, "Success", 1.5, 1, 2, 3, "", BEGAN_AT - timedelta(days=1))
    assert unpack_runs(add_packed(None, pair)) == pair


@pytest.mark.parametrize(
    ("days", "usual"),
    [((), 1), ((0,), 1), ((0, 9), 1), ((0, 7, 14), 7), ((0, 7, 14, 100), 7), ((0, 0.1, 0.2), 1), ((0, 2, 4, 7), 2)],
)
def test_the_usual_interval_is_the_median_and_at_least_a_day(days, usual):
    runs = [run for day in days for run in recent_runs(BEGAN_AT + timedelta(days=day), "Success", 1.0, 0, 0, 0)]
    assert usual_interval(runs) == timedelta(days=usual)


def test_unsaved_runs_do_not_shorten_the_usual_interval():
    kinds = [(0, ""), (1, "aborted"), (7, ""), (9, "dry_run"), (14, "")]
    runs = [
        run
        for day, outcome in kinds
        for run in recent_runs(BEGAN_AT + timedelta(days=day), "Success", 1.0, 0, 0, 0, outcome)
    ]
    assert usual_interval(runs) == timedelta(days=7)
