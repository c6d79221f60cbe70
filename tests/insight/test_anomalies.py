"""What counts as unusual, at the boundaries of each limit."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trials import trial

from app.insight.anomalies import Anomaly, Limits, describe, find_anomalies, follow_anomalies
from app.reports.outcomes import MAX_RUNS, add_packed, recent_runs, unpack_runs
from app.reports.parser import NO_FIGURES, Figure

MIB, GIB = 1024**2, 1024**3
LIMITS = Limits()
USUAL = {"status": "Success", "duration_s": 600.0, "examined_files": 1000, "examined_bytes": GIB}


def runs(count: int = 30, *, uploads: list[int] | None = None, newest: dict | None = None) -> list:
    """Return some steady runs, and the newest one with its differences."""
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
        ({"uploaded_bytes": 900 * MIB}, ["upload 9 times the usual value"]),
        ({"uploaded_bytes": 299 * MIB}, []),  # not three times
        ({"uploaded_bytes": 300 * MIB}, ["upload 3 times the usual value"]),
        ({"uploaded_bytes": 0}, []),  # a quiet day
        ({"duration_s": 1800.0}, ["duration 3 times the usual value"]),
        ({"duration_s": 10.0}, []),
        ({"examined_files": 600}, ["40 % fewer files"]),
        ({"examined_files": 701}, []),  # not 30 %
        ({"examined_files": 1700}, ["70 % more files"]),
        ({"examined_bytes": GIB // 2}, ["50 % less data"]),
        ({"examined_bytes": 2 * GIB, "examined_files": 2000}, ["100 % more data", "100 % more files"]),
        ({"examined_files": 0, "status": "Fatal"}, []),  # the status is more important
        ({"modified_files": 800}, ["modified files, although there usually are none"]),
        ({"modified_files": 99}, []),  # not a tenth of the files
        ({"modified_files": 100}, ["modified files, although there usually are none"]),
        ({"deleted_files": 112}, ["deleted files, although there usually are none"]),
        ({"deleted_files": 111}, []),  # of 1,111 files that there were
        ({"modified_files": 19, "examined_files": 30}, ["97 % fewer files"]),  # not twenty
    ],
)
def test_a_figure_far_from_the_median_is_described_in_words(newest, words):
    assert [describe(anomaly) for anomaly in find_anomalies(runs(newest=newest), LIMITS)] == words


def test_a_wide_spread_makes_more_values_usual():
    swinging = [MIB, 900 * MIB, 300 * MIB, 1200 * MIB]
    assert find_anomalies(runs(uploads=swinging, newest={"uploaded_bytes": 1900 * MIB}), LIMITS) == []


def test_small_differences_are_not_unusual_at_any_factor():
    assert find_anomalies(runs(uploads=[MIB], newest={"uploaded_bytes": 40 * MIB}), LIMITS) == []


def test_an_upload_after_none_is_reported():
    (anomaly,) = find_anomalies(runs(uploads=[0], newest={"uploaded_bytes": 80 * MIB}), LIMITS)
    assert describe(anomaly) == "upload, although there usually is none"


@pytest.mark.parametrize(("count", "is_told"), [(7, False), (8, True)])
def test_too_few_runs_have_no_usual_values(count, is_told):
    assert bool(find_anomalies(runs(count, newest={"uploaded_bytes": GIB}), LIMITS)) is is_told


def test_failed_runs_are_not_used_for_comparison():
    history = runs(30, newest={"examined_files": 600})
    failed = [run._replace(letter="E", examined_files=5) for run in history[:20]]
    assert [describe(found) for found in find_anomalies([*failed, *history[20:]], LIMITS)] == ["40 % fewer files"]


def test_limits_can_be_set_and_disabled():
    history = runs(newest={"uploaded_bytes": 250 * MIB})
    assert find_anomalies(history, Limits.read({"times": 2.0, "unknown": 1}))
    assert not find_anomalies(runs(newest={"uploaded_bytes": GIB}), Limits.read({"is_enabled": False}))


def test_without_runs_nothing_is_unusual():
    assert find_anomalies([], LIMITS) == []


@pytest.mark.parametrize("outcome", ["aborted", "dry_run"])
def test_an_unsaved_run_is_skipped(outcome):
    odd = runs(newest={"uploaded_bytes": 10 * GIB})
    unsaved = runs(newest={"outcome": outcome, "uploaded_bytes": 90 * GIB})[-1]
    found = find_anomalies(odd, LIMITS)
    assert [anomaly.figure for anomaly in found] == ["upload"]
    assert find_anomalies([*odd, unsaved], LIMITS) == found
    assert find_anomalies([*odd[:-1], *[unsaved] * 20, odd[-1]], LIMITS) == found


def test_modified_files_are_reported_as_multiples_of_the_usual():
    changing = [run._replace(modified_files=20) for run in runs(newest={"modified_files": 800})[:-1]]
    newest = runs(newest={"modified_files": 800})[-1]
    assert [describe(found) for found in find_anomalies([*changing, newest], LIMITS)] == [
        "40 times as many modified files as usual"
    ]


@pytest.mark.parametrize(
    ("newest", "not_told"),
    [
        ({"modified_files": 900, "deleted_files": 900, "examined_files": 0, "examined_bytes": 0}, Figure.FILES),
        ({"uploaded_bytes": 900 * GIB}, Figure.UPLOADED),
    ],
)
def test_missing_figures_of_a_run_are_not_evaluated(newest, not_told):
    assert find_anomalies(runs(newest=newest), LIMITS)
    assert find_anomalies(runs(newest=newest | {"not_told": not_told}), LIMITS) == []


def test_missing_figures_are_not_used_for_comparison():
    history = runs(30, newest={"examined_files": 600})
    empty = [run._replace(examined_files=0, examined_bytes=0, not_told=NO_FIGURES) for run in history[:20]]
    assert [describe(found) for found in find_anomalies([*empty, *history[20:]], LIMITS)] == ["40 % fewer files"]
    assert find_anomalies([*empty, *history[:3], history[-1]], LIMITS) == []


def messages_of(days: list[dict]) -> list[int]:
    """Return the days with a notification, for days with the differences of each run."""
    packed, anomalies, found = None, [], []
    for day, changes in enumerate(days):
        began_at = datetime(2031, 5, 4, tzinfo=UTC) + timedelta(days=day)
        usual = USUAL | {"uploaded_bytes": 100 * MIB, "modified_files": 5, "deleted_files": 2}
        packed = add_packed(packed, recent_runs(began_at, **usual | changes))
        anomalies = follow_anomalies(unpack_runs(packed), LIMITS, [Anomaly(**each.stored()) for each in anomalies])
        if any(not anomaly.is_notified for anomaly in anomalies):
            found.append(day)
            anomalies = [Anomaly(each.figure, each.value, each.usual, is_notified=True) for each in anomalies]
    return found


ENCRYPTED = {"modified_files": 800, "uploaded_bytes": GIB, "duration_s": 2400.0}
FULL = {"modified_files": 1000, "uploaded_bytes": GIB, "duration_s": 6000.0}
NOISE = st.lists(st.floats(0.85, 1.15), min_size=70, max_size=70)


def varied(figures: dict, factor: float) -> dict:
    """Return the figures, all changed by a random factor."""
    return {name: type(value)(value * factor) if name != "status" else value for name, value in figures.items()}


@trial()
@given(NOISE, st.integers(8, 60))
def test_an_encrypted_share_makes_one_message_at_once(noise, day):
    days = [varied({"uploaded_bytes": 100 * MIB, "modified_files": 40}, factor) for factor in noise]
    days[day] |= ENCRYPTED
    assert messages_of(days) == [day]


@pytest.mark.parametrize(("modified", "deleted"), [(0, 0), (5, 0), (0, 2)])
def test_files_renamed_by_encryption_make_one_message(modified, deleted):
    days = [{"modified_files": modified, "deleted_files": deleted} for _ in range(40)]
    days[35] |= {"deleted_files": 800}
    assert messages_of(days) == [35]


@trial()
@given(NOISE, st.integers(0, 6))
def test_a_weekly_full_run_makes_at_most_two_messages(noise, weekday):
    days = [varied(FULL, factor) if day % 7 == weekday else {} for day, factor in enumerate(noise)]
    assert len(messages_of(days)) <= 2


@trial()
@given(st.floats(0, 0.015), NOISE)
def test_steady_growth_makes_no_message(rate, noise):
    figures = {**USUAL, "uploaded_bytes": 100 * MIB, "modified_files": 50, "deleted_files": 10}
    grown = [varied(figures, (1 + rate) ** day) for day in range(70)]
    noisy = [
        day | varied({"uploaded_bytes": day["uploaded_bytes"]}, factor)
        for day, factor in zip(grown, noise, strict=True)
    ]
    assert messages_of(noisy) == []


@pytest.mark.parametrize("length", [1, 7, 14, 21])
def test_a_holiday_makes_no_message(length):
    quiet = {"uploaded_bytes": 0, "modified_files": 0, "deleted_files": 0, "duration_s": 60.0}
    busy = {"modified_files": 150, "uploaded_bytes": 100 * MIB}
    assert messages_of([busy] * 31 + [quiet] * length + [busy] * 31) == []


def test_a_week_of_large_uploads_makes_one_message():
    assert messages_of([{}] * 20 + [{"uploaded_bytes": GIB}] * 7 + [{}] * 20) == [20]


def test_usual_values_in_between_make_another_message():
    assert messages_of([{}] * 20 + [FULL, {}, FULL, {}]) == [20, 22]


def test_another_unusual_figure_before_makes_another_message():
    assert messages_of([{}] * 20 + [{"uploaded_bytes": GIB}, {"uploaded_bytes": GIB, "modified_files": 900}]) == [
        20,
        21,
    ]


@pytest.mark.parametrize(
    "between", [{"status": "Error"}, {"status": "Fatal"}, {"outcome": "aborted"}, {"not_told": Figure.FILES}]
)
def test_runs_without_figures_in_between_repeat_no_message(between):
    fewer = {"examined_files": 400}
    assert messages_of([{}] * 20 + [fewer, between, between, fewer, fewer]) == [20]


def test_previous_failed_runs_do_not_hide_an_encrypted_share():
    failed = {"status": "Error", "modified_files": 0, "uploaded_bytes": 0, "not_told": NO_FIGURES}
    assert messages_of([{}] * 20 + [failed] * 5 + [ENCRYPTED] + [{}] * 5) == [25]


def test_after_a_failed_run_only_notified_figures_are_kept():
    history = [run._replace(letter="E") if number == MAX_RUNS - 1 else run for number, run in enumerate(runs(30))]
    known = [Anomaly("upload", 9.0, 1.0, is_notified=True), Anomaly("size", 9.0, 1.0)]
    assert follow_anomalies(history, LIMITS, known) == [Anomaly("upload", 9.0, 1.0, is_notified=True, is_past=True)]
    assert follow_anomalies(runs(30), LIMITS, known) == []
