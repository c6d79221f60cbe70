"""Whether a run saved a version, and what its log reports of a previous aborted run."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import pytest

from app.reports.outcomes import Outcome, find_broken_off, find_outcome, find_version_time
from app.reports.parser import Report, parse_report

REPORTS = Path(__file__).parents[1] / "data" / "duplicati" / "reports"
EXPECTED = json.loads((REPORTS / "expected.json").read_text())
BEGAN_AT = datetime(2026, 11, 20, 2, 0, 1, 120_000, tzinfo=UTC)
ENDED_AT = BEGAN_AT + timedelta(minutes=5)
HEAD = "2026-11-20 03:00:04 +01 - [Information-Duplicati.Library.Main.BasicResults-BackendEvent]: Backend event: "


def put(at: datetime, state: str = "Completed", kind: str = "dlist") -> str:
    """Return a log line about the upload of a file."""
    return f"{HEAD}Put - {state}: duplicati-{at:%Y%m%dT%H%M%SZ}.{kind}.zip.aes (1.02 KB)"


OWN = put(BEGAN_AT)
BLOCKS = f"{HEAD}Put - Completed: duplicati-b0123456789abcdef0123456789abcdef.dblock.zip.aes (48.95 MB)"
PREVIOUS = put(BEGAN_AT - timedelta(days=1))
QUIET = "2026-11-20 03:00:04 +01 - [Information-Duplicati.Library.Main.Controller-StartingOperation]: The operation …"


def outcome(*messages: str, **changes: Any) -> str:
    """Return the outcome of a stopped run with these log lines."""
    usual: dict[str, Any] = {
        "is_dry_run": False,
        "was_interrupted": True,
        "is_partial": False,
        "parsed_result": "Warning",
        "uploaded_files": 3,
        "messages": messages,
        "is_cut": False,
    }
    return find_outcome(**{**usual, **changes}).value


def test_a_run_that_was_not_stopped_is_normal():
    assert outcome(was_interrupted=False) == ""


def test_a_run_without_uploads_that_was_not_stopped_is_normal():
    assert outcome(BLOCKS, was_interrupted=False, uploaded_files=0, parsed_result="Fatal") == ""


def test_a_dry_run_saves_nothing_even_if_a_file_list_was_uploaded():
    assert outcome(OWN, is_dry_run=True, was_interrupted=False) == "dry_run"


def test_a_partial_run_is_partial_with_or_without_a_stop():
    assert outcome(BLOCKS, is_partial=True) == "partial"
    assert outcome(BLOCKS, is_partial=True, was_interrupted=False) == "partial"


def test_a_stopped_run_with_its_file_list_in_the_log_saved_a_version():
    assert outcome(BLOCKS, OWN) == "stopped"


def test_the_time_in_the_name_of_the_file_list_does_not_matter():
    assert outcome(BLOCKS, put(BEGAN_AT + timedelta(hours=5))) == "stopped"


@pytest.mark.parametrize("result", ["Success", "Error", "Fatal"])
def test_the_file_list_in_the_log_decides_regardless_of_the_result(result):
    assert outcome(BLOCKS, OWN, parsed_result=result, uploaded_files=0) == "stopped"


def test_a_complete_log_without_a_file_list_means_nothing_was_saved():
    assert outcome(BLOCKS) == "aborted"


def test_a_file_list_with_an_incomplete_upload_does_not_count():
    assert outcome(BLOCKS, put(BEGAN_AT, "Started")) == "aborted"


def test_the_file_list_of_the_previous_aborted_run_does_not_count():
    assert outcome(UPLOADING, PREVIOUS, BLOCKS) == "aborted"
    assert outcome(UPLOADING, PREVIOUS, BLOCKS, OWN) == "stopped"


@pytest.mark.parametrize(
    ("uploaded_files", "result", "expected"),
    [
        (1, "Warning", "stopped"),
        (1, "Success", "stopped"),
        (0, "Warning", "aborted"),
        (0, "Success", "aborted"),
        (9, "Error", "aborted"),
        (9, "Fatal", "aborted"),
    ],
)
@pytest.mark.parametrize(
    ("messages", "is_cut"),
    [
        ((), False),  # --send-http-log-level=Error
        ((QUIET,), False),  # --send-http-log-filter=-*BackendEvent*
        ((BLOCKS, "... and 21 more"), False),  # --send-http-max-log-lines
        ((BLOCKS, "... und 21 weitere"), False),
        ((BLOCKS,), True),  # fewer lines than the counts
    ],
    ids=["no log", "no events", "cut", "cut in German", "counted"],
)
def test_without_the_complete_log_uploads_and_result_decide(messages, is_cut, uploaded_files, result, expected):
    assert outcome(*messages, is_cut=is_cut, uploaded_files=uploaded_files, parsed_result=result) == expected


def test_a_file_list_in_a_truncated_log_counts_as_well():
    assert outcome(OWN, "... and 21 more", is_cut=True, uploaded_files=0, parsed_result="Error") == "stopped"


def test_the_version_of_a_run_is_the_last_one_of_the_backend():
    at = BEGAN_AT + timedelta(seconds=9)
    found = find_version_time(at, (OWN,), BEGAN_AT, ENDED_AT, is_good=True)
    assert found == at.replace(microsecond=0)


def test_a_version_from_before_the_run_does_not_count():
    earlier = BEGAN_AT - timedelta(days=1)
    assert find_version_time(earlier, (), BEGAN_AT, ENDED_AT, is_good=False) is None
    assert find_version_time(earlier, (OWN,), BEGAN_AT, ENDED_AT, is_good=False) == BEGAN_AT.replace(microsecond=0)


def test_a_good_run_without_a_named_version_saved_one_at_its_begin():
    assert find_version_time(None, (), BEGAN_AT, ENDED_AT, is_good=True) == BEGAN_AT.replace(microsecond=0)


KEPT_AT = datetime(2026, 11, 19, 2, 0, tzinfo=UTC)
KEPT = f"2026-11-20 03:00:02 +01 - [Information-X-KeepIncompleteFile]: duplicati-{KEPT_AT:%Y%m%dT%H%M%SZ}.dlist.zip.aes"
UPLOADING = (
    "2026-11-20 03:00:03 +01 - [Information-X-PreviousBackupFilelistUpload]: "
    "Uploading filelist from previous interrupted backup"
)


def test_a_usual_log_contains_no_aborted_run():
    assert find_broken_off((BLOCKS, OWN), BEGAN_AT) is None


def test_a_previous_aborted_run_is_found_by_the_file_list_saved_for_it():
    assert find_broken_off((UPLOADING, put(KEPT_AT), OWN), BEGAN_AT) == KEPT_AT


def test_a_renamed_file_list_is_that_of_the_run_a_second_before():
    assert find_broken_off((KEPT, UPLOADING, put(KEPT_AT + timedelta(seconds=1)), OWN), BEGAN_AT) == KEPT_AT


def test_without_backend_events_the_stored_list_determines_the_begin():
    assert find_broken_off((KEPT, UPLOADING), BEGAN_AT) == KEPT_AT


def test_an_aborted_run_with_an_unknown_begin_is_not_reported():
    assert find_broken_off((UPLOADING, OWN), BEGAN_AT) is None


def recorded(name: str, format: str) -> Report:
    """Return a parsed recorded upload."""
    body = json.loads((REPORTS / f"{name}.{format}.json").read_text())["body"]
    text = body if format == "json" else parse_qs(body)["message"][0]
    report = parse_report(text, received_at=datetime(2027, 1, 1, tzinfo=UTC), zone=ZoneInfo("UTC"))
    assert isinstance(report, Report)
    return report


def runs_with(fact: str) -> list[str]:
    return [name for name, wanted in EXPECTED.items() if fact in wanted.get("facts", {})]


@pytest.mark.parametrize("format", ["json", "form"])
@pytest.mark.parametrize("name", runs_with("saved_a_version"))
def test_every_recorded_stopped_or_dry_run_is_recognised(name, format):
    facts, report = EXPECTED[name]["facts"], recorded(name, format)
    assert report.counts == facts["saved_a_version"]
    if facts["dry_run"]:
        assert report.outcome == Outcome.DRY_RUN
    elif facts["saved_a_version"]:
        assert report.outcome == (Outcome.PARTIAL if facts["partial"] else Outcome.STOPPED)
    else:
        assert report.outcome == Outcome.ABORTED


@pytest.mark.parametrize("format", ["json", "form"])
def test_every_other_recorded_run_counts(format):
    others = set(EXPECTED) - set(runs_with("saved_a_version"))
    names = [name for name in others if EXPECTED[name].get("run") and EXPECTED[name].get("form", True)]
    assert {name: recorded(name, format).outcome for name in names} == dict.fromkeys(names, Outcome.NORMAL)


@pytest.mark.parametrize("format", ["json", "form"])
@pytest.mark.parametrize("name", runs_with("previous_run_broke_off"))
def test_every_recorded_run_after_a_power_cut_reports_the_begin_of_the_previous_one(name, format):
    versions = [datetime.fromisoformat(text) for text in EXPECTED[name]["run"]["versions"]]
    assert recorded(name, format).broken_off_at == min(at for at in versions if max(versions) - at < timedelta(hours=1))


@pytest.mark.parametrize("format", ["json", "form"])
def test_no_other_recorded_run_reports_an_aborted_one(format):
    others = set(EXPECTED) - set(runs_with("previous_run_broke_off"))
    names = [name for name in others if EXPECTED[name].get("run") and EXPECTED[name].get("form", True)]
    assert [name for name in names if recorded(name, format).broken_off_at is not None] == []
