"""Reports in JSON: every sample, the order of checks, and values of every wrong type."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trials import trial

from app.core.errors import InputTooLarge
from app.reports.decoding import MOST_LEVELS, MOST_VALUES, InvalidReport
from app.reports.parser import Figure, NotStored, Report, parse_report

SAMPLES = Path(__file__).resolve().parents[1] / "data" / "samples"
NOW = datetime(2026, 11, 20, 3, 8, 9, 555_555, tzinfo=UTC)


def parse(document: Any, **options: Any) -> Report:
    body = document if isinstance(document, str | bytes) else orjson.dumps(document)
    return parse_report(body, **({"received_at": NOW, "zone": ZoneInfo("UTC")} | options))


def sample(name: str, **options: Any) -> Report:
    return parse((SAMPLES / f"{name}.json").read_bytes(), **options)


def document(data: dict[str, Any] | None = None, extra: dict[str, Any] | None = None, **others: Any) -> dict[str, Any]:
    """Return a small valid report; None as a value removes the field."""
    whole_data = {
        "MainOperation": "Backup",
        "ParsedResult": "Success",
        "BeginTime": "2026-11-20T02:00:00Z",
        "Duration": "00:01:00",
    } | (data or {})
    whole_extra = {"machine-id": "m1", "machine-name": "nas", "backup-name": "Files", "backup-id": "DB-1"} | (
        extra or {}
    )
    sections = {"Data": whole_data, "Extra": whole_extra}
    return {
        name: {field: value for field, value in section.items() if value is not None}
        for name, section in sections.items()
    } | others


def rejection(body: Any, **options: Any) -> InvalidReport:
    with pytest.raises(InvalidReport) as caught:
        parse(body, **options)
    assert caught.value.status == 400
    return caught.value


def test_success_sample_is_read_completely():
    report = sample("success")
    assert (report.server_id, report.server_name) == ("7c0f9d1e5b3a48629d5e0f4a1b2c3d4e", "attic-nas")
    assert (report.job_name, report.duplicati_id) == ("Documents", "DB-1")
    assert report.began_at == datetime(2026, 11, 20, 2, 0, 1, 120_000, tzinfo=UTC)
    assert report.ended_at == datetime(2026, 11, 20, 2, 7, 12, 991_000, tzinfo=UTC)
    assert report.duration_s == pytest.approx(431.870781)
    assert (report.status, report.parsed_result) == ("Success", "Success")
    assert report.duplicati_version == "2.2.0.1 (2.2.0.1_stable_2025-11-09)"
    assert (report.examined_files, report.examined_bytes) == (48211, 90123456789)
    assert (report.opened_files, report.opened_bytes) == (44, 50354701)
    assert (report.added_files, report.added_bytes) == (13, 9123456)
    assert (report.modified_files, report.modified_bytes) == (31, 41231245)
    assert (report.deleted_files, report.added_folders) == (2, 1)
    assert (report.uploaded_bytes, report.downloaded_bytes) == (52433210, 91234)
    assert (report.storage_bytes, report.version_count) == (10234567890, 10)
    assert (report.quota_total_bytes, report.quota_free_bytes) == (2000398934016, 811034558464)
    assert (report.message_count, report.warning_count, report.error_count) == (23, 0, 0)
    assert len(report.messages) == 8
    assert (report.warnings, report.errors) == ((), ())
    assert (report.version_log.has_list, report.available_versions) == (True, ())  # read with the runs of its job
    assert (report.is_scheduled, report.outcome, report.not_told) == (True, "", 0)
    assert report.next_scheduled_at is None


def test_warning_sample_takes_its_warnings_from_the_levels_of_the_log():
    report = sample("warning")
    assert (report.status, report.warning_count) == ("Warning", 2)
    assert len(report.warnings) == 2
    assert all("[Warning-Duplicati" in line for line in report.warnings)


def test_error_sample_keeps_the_following_lines_of_an_error():
    report = sample("error")
    assert (report.status, report.error_count) == ("Error", 1)
    assert report.errors[0].count("\n") == 2
    assert "Backup-Retry]: slow" in report.warnings[0]


def test_fatal_sample_with_results_has_figures_and_the_exception():
    report = sample("fatal-with-results")
    assert (report.status, report.error_count, report.examined_files) == ("Fatal", 1, 48211)
    assert (report.is_partial, report.was_interrupted) == (True, True)
    assert report.errors[0].startswith(
        "Duplicati.Library.Interface.UserInformationException: The remote server is out of"
    )


@pytest.mark.parametrize(
    ("name", "job", "text"),
    [
        ("fatal-null-data", "Mail", "System.Threading.Tasks.TaskCanceledException: A task was canceled."),
        ("fatal-exception-as-data", "Documents", "UserInformationException: Found 3 files that are missing"),
    ],
)
def test_fatal_sample_without_results_is_a_fatal_run_at_its_reception(name, job, text):
    report = sample(name)
    assert (report.job_name, report.status, report.main_operation) == (job, "Fatal", "Backup")
    assert report.began_at == report.ended_at == NOW.replace(microsecond=0)
    assert (report.duration_s, report.error_count, len(report.errors)) == (0.0, 1, 1)
    assert text in report.errors[0]
    assert report.message_count == len(report.messages) > 0


def test_exception_as_data_keeps_its_stack_trace():
    assert "VerifyRemoteList" in sample("fatal-exception-as-data").errors[0]


def test_duration_of_more_than_a_day_is_read():
    assert sample("long-run-over-a-day").duration_s == pytest.approx(93784.5678901)


def test_names_of_any_language_are_kept():
    report = sample("unicode-names")
    assert (report.server_name, report.job_name) == ("büro-π", "Täglich / São Paulo: 100% ✓")


def test_newer_extra_contains_the_next_run_and_the_kind_of_destination():
    report = sample("success-2.3-extra")
    assert report.next_scheduled_at == datetime(2026, 11, 22, 2, tzinfo=UTC)
    assert report.destination_type == "s3"


@pytest.mark.parametrize("name", ["restore-operation", "test-operation"])
def test_other_operation_with_an_identity_is_neither_stored_nor_rejected(name):
    found = parse((SAMPLES / f"{name}.json").read_bytes())
    assert isinstance(found, NotStored)
    assert name.partition("-")[0].capitalize() in found.reason


@pytest.mark.parametrize("missing", [{"backup-name": ""}, {"machine-id": None, "machine-name": None}])
def test_other_operation_without_an_identity_is_rejected(missing):
    assert "Only reports of backups" in rejection(document({"MainOperation": "Restore"}, missing)).message


def test_failure_of_another_operation_is_not_stored_either():
    extra = {"machine-id": "x", "backup-name": "x", "OperationName": "Restore"}
    assert isinstance(parse({"Data": None, "Extra": extra}), NotStored)


@pytest.mark.parametrize(("name", "operation"), [("restore-operation", "Restore"), ("test-operation", "Test")])
def test_other_operation_is_read_if_it_is_to_be_stored(name, operation):
    report = sample(name, keeps_other_operations=True)
    assert (report.main_operation, report.is_scheduled, report.duration_s) == (operation, False, 60)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"this is not json", "neither JSON nor"),
        (b"", "neither JSON nor"),
        (b"{", "neither JSON nor"),
        (b"null", "not an object"),
        (b"[]", "not an object"),
        (b"5", "not an object"),
        (b"[" * 60, "neither JSON nor"),
        ({}, "Only reports of backups"),
        ({"Data": {"MainOperation": "Restore"}, "Extra": {}}, "Only reports of backups"),
        ({"Data": {"MainOperation": "backup"}}, "Only reports of backups"),
        ({"Data": None, "Extra": {"machine-id": "x"}}, "Only reports of backups"),
        ({"Data": {"ClassName": "X"}, "Extra": {}}, "Only reports of backups"),
        ({"Data": None, "Extra": {"backup-name": "x", "OperationName": "Restore"}}, "Only reports of backups"),
        ({"Data": [1]}, "Data is not an object"),
        ({"Data": "Backup"}, "Data is not an object"),
        ({"Data": {"MainOperation": "Backup"}}, "Extra is missing"),
        ({"Data": {"MainOperation": "Backup"}, "Extra": [1]}, "Extra is not an object"),
    ],
)
def test_report_of_no_backup_is_rejected_in_the_order_of_checks(body, words):
    assert words in rejection(body).message


def test_missing_fields_of_extra_are_named_in_order_without_secrets():
    error = rejection(
        {"Data": {"MainOperation": "Backup"}, "Extra": {"machine-id": "x", "RemoteUrl": "s3://key:secret@x"}}
    )
    assert error.extra == {
        "missingFields": ["machine-name", "backup-name", "backup-id"],
        "extraSection": {"machine-id": "x"},
    }
    assert "machine-name, backup-name, backup-id" in error.message


def test_missing_fields_of_data_are_named_after_those_of_extra():
    error = rejection(
        document({"ParsedResult": None, "BeginTime": "", "Duration": 0, "BackendStatistics": {"Secret": 1}})
    )
    assert error.extra == {
        "missingFields": ["ParsedResult", "BeginTime", "Duration"],
        "dataSection": {"MainOperation": "Backup", "BeginTime": "", "Duration": "0"},
    }


def test_failed_run_without_server_names_the_missing_fields():
    error = rejection({"Data": None, "Extra": {"backup-name": "x"}})
    assert error.extra["missingFields"] == ["machine-id", "machine-name", "backup-id"]


def test_failed_run_without_any_reason_still_has_an_error():
    report = parse({"Data": None, "Extra": document()["Extra"]})
    assert (report.status, report.error_count, len(report.errors)) == ("Fatal", 1, 1)


def test_empty_report_is_no_failed_run():
    assert "Only reports of backups" in rejection({"Extra": document()["Extra"]}).message
    assert parse({"Extra": document()["Extra"], "Exception": "disk full"}).errors == ("disk full",)


def test_empty_extra_lacks_every_field():
    error = rejection({"Data": {"MainOperation": "Backup"}, "Extra": {}})
    assert error.extra["missingFields"] == ["machine-id", "machine-name", "backup-name", "backup-id"]


def test_failure_keeps_errors_of_the_log_missing_in_the_exception():
    lines = ["2026-11-20 03:00:01 +01 - [Error-X-Y]: disk is gone", "2026-11-20 03:00:02 +01 - [Error-X-Z]: boom"]
    report = parse(
        {"Data": None, "Extra": document()["Extra"], "LogLines": lines, "Exception": "System.Exception: boom"}
    )
    assert report.errors == ("System.Exception: boom", lines[0])
    assert report.error_count == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20T02:00:00.9999999Z", datetime(2026, 11, 20, 2, 0, 0, 999_000, tzinfo=UTC)),
        ("2026-11-20T02:00:00.5+01:00", datetime(2026, 11, 20, 1, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T02:00:00", datetime(2026, 11, 20, 1, tzinfo=UTC)),
        ("2026-07-20 02:00:00", datetime(2026, 7, 20, 0, tzinfo=UTC)),
        ("20261120T020000Z", datetime(2026, 11, 20, 2, tzinfo=UTC)),
    ],
)
def test_begin_is_read_in_its_offset_or_the_zone_and_cut_to_milliseconds(text, expected):
    assert parse(document({"BeginTime": text}), zone=ZoneInfo("Europe/Berlin")).began_at == expected


@pytest.mark.parametrize(
    "value",
    [
        "yesterday",
        "2026-13-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        5,
        "x" * 300,
        [1],
        {"a": 1},
        True,
    ],
)
def test_invalid_begin_is_rejected_with_its_name(value):
    assert "Data.BeginTime" in rejection(document({"BeginTime": value})).message


@pytest.mark.parametrize("value", ["soon", "12", 5, [1], True, "1:99:00"])
def test_invalid_duration_is_rejected_with_its_name(value):
    assert "Data.Duration" in rejection(document({"Duration": value})).message


@pytest.mark.parametrize("value", [None, "0001-01-01T00:00:00", "whenever", 5, "2026-11-20T01:00:00Z"])
def test_missing_or_invalid_end_is_begin_plus_duration(value):
    assert parse(document({"EndTime": value})).ended_at == datetime(2026, 11, 20, 2, 1, tzinfo=UTC)


def test_negative_duration_of_an_aborted_run_is_zero():
    assert parse(document({"Duration": "-739574.02:00:01"})).duration_s == 0


def test_success_with_warnings_is_a_warning_and_the_result_is_kept():
    report = parse(document({"WarningsActualLength": 3}))
    assert (report.status, report.parsed_result, report.warning_count) == ("Warning", "Success", 3)


@pytest.mark.parametrize("result", ["Error", "Fatal", "Unknown", "Something new"])
def test_other_results_are_kept_despite_warnings(result):
    assert parse(document({"ParsedResult": result, "WarningsActualLength": 3})).status == result


def test_log_lines_precede_messages_even_when_empty():
    assert parse(document({"Messages": ["a"]}, LogLines=[])).messages == ()
    assert parse(document({"Messages": ["a"]})).messages == ("a",)


def test_lists_precede_the_levels_of_the_log():
    line = "2026-11-20 03:00:01 +01 - [Warning-X-Y]: w"
    report = parse(document({"Warnings": ["given"], "Errors": []}, LogLines=[line, line.replace("Warning", "Error")]))
    assert (report.warnings, report.errors) == (("given",), ())


@pytest.mark.parametrize("level", ["Retry", "Error"])
def test_level_inside_a_text_does_not_count(level):
    assert parse(document(LogLines=[f"2026-11-20 03:00:01 +01 - [{level}-X-Y]: [Warning-X] again"])).warnings == ()


@pytest.mark.parametrize("counts", [{}, dict.fromkeys(("MessagesActualLength", "WarningsActualLength"))])
def test_missing_counts_are_zero_regardless_of_the_lists(counts):
    report = parse(document({"Messages": ["a", "b"], "Warnings": ["c"], "Errors": ["d"], **counts}))
    assert (report.message_count, report.warning_count, report.error_count) == (0, 0, 0)
    assert (report.status, report.warnings, report.errors) == ("Success", ("c",), ("d",))


@pytest.mark.parametrize("place", ["Data", "top"])
def test_exception_is_the_error_when_no_error_is_listed(place):
    body = document({"Errors": [], "ErrorsActualLength": 0})
    (body["Data"] if place == "Data" else body)["Exception"] = " System.Exception: no space left "
    report = parse(body)
    assert (report.errors, report.error_count) == (("System.Exception: no space left",), 0)


def test_listed_errors_replace_the_exception():
    assert parse(document({"Errors": ["e"]}, Exception="x")).errors == ("e",)


@pytest.mark.parametrize("value", [0, -1, None])
def test_unknown_quota_is_none(value):
    report = parse(document({"BackendStatistics": {"TotalQuotaSpace": value, "FreeQuotaSpace": value}}))
    assert (report.quota_total_bytes, report.quota_free_bytes) == (None, None)


@pytest.mark.parametrize(
    ("value", "expected"), [("12", 12), (12.9, 12), (-1, 0), ("", 0), (None, 0), (True, 1), (2**63 - 1, 2**63 - 1)]
)
def test_count_is_coerced(value, expected):
    assert parse(document({"ExaminedFiles": value})).examined_files == expected


@pytest.mark.parametrize("value", ["many", [1], {}, 2**63, 10**30, "9" * 5000])
def test_invalid_count_is_rejected_with_its_name(value):
    body = document({"ExaminedFiles": "@"})
    raw = orjson.dumps(body).replace(b'"@"', str(value).encode() if isinstance(value, int) else orjson.dumps(value))
    assert "Data.ExaminedFiles" in rejection(raw).message


def test_small_columns_have_a_smaller_limit():
    assert "BackupListCount" in rejection(document({"BackendStatistics": {"BackupListCount": 2**31}})).message


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, True), ("True", True), ("true", True), (1, True), ("False", False), ("", False), (0, False), (None, False)],
)
def test_booleans_may_be_words(value, expected):
    assert parse(document({"PartialBackup": value})).is_partial is expected


@pytest.mark.parametrize("field", ["machine-id", "machine-name", "backup-name", "backup-id"])
@pytest.mark.parametrize("value", [["x"], {"x": 1}, True, "x" * 100_001])
def test_unusable_identity_is_rejected_with_its_name(field, value):
    assert f"Extra.{field}" in rejection(document(extra={field: value})).message


def test_number_as_a_name_is_converted_to_text():
    assert parse(document(extra={"backup-name": 7})).job_name == "7"


def test_name_of_only_nul_characters_is_missing():
    assert rejection(document(extra={"backup-name": "\x00"})).extra["missingFields"] == ["backup-name"]


def test_nul_characters_and_surrogates_are_removed():
    body = orjson.dumps(document({"Warnings": ["a@b"]}, {"backup-name": "Fi\x00les"}, LogLines=["c@d"]))
    report = parse(body.replace(b"@", b"\\ud800"))
    assert (report.job_name, report.warnings, report.messages) == ("Files", ("a?b",), ("c?d",))


def test_surrogates_in_a_text_are_removed():
    assert parse(orjson.dumps(document(LogLines=["c@d"])).decode().replace("@", "\udc80")).messages == ("c?d",)


@pytest.mark.parametrize("word", [b"NaN", b"Infinity", b"-Infinity"])
def test_invalid_number_counts_as_missing(word):
    assert parse(orjson.dumps(document({"ExaminedFiles": "@"})).replace(b'"@"', word)).examined_files == 0


def test_byte_order_mark_is_skipped():
    assert parse(b"\xef\xbb\xbf" + orjson.dumps(document())).job_name == "Files"


@pytest.mark.parametrize("value", [5, {"a": 1}, True])
@pytest.mark.parametrize("field", ["LogLines", "Messages", "Warnings", "Errors"])
def test_list_of_another_type_is_rejected_with_its_name(field, value):
    body = document(LogLines=value) if field == "LogLines" else document({field: value})
    assert field in rejection(body).message


def test_entries_that_are_no_texts_are_kept_as_json():
    assert parse(document(LogLines=["a", 5, {"b": None}])).messages == ("a", "5", '{"b":null}')


def nested(levels: int) -> bytes:
    """Return a report with a log entry of a level; the report and its log are two levels."""
    return orjson.dumps(document(LogLines=["@"])).replace(b'"@"', b"[" * (levels - 2) + b"]" * (levels - 2))


def test_entries_are_kept_up_to_the_deepest_level():
    assert parse(nested(MOST_LEVELS)).messages == ("[" * 62 + "]" * 62,)


@pytest.mark.parametrize("levels", [MOST_LEVELS + 1, 500, 100_000])
def test_report_nested_too_deep_is_too_large(levels):
    with pytest.raises(InputTooLarge, match="64 levels"):
        parse(nested(levels))


@pytest.mark.parametrize("value", [b"1", b'"a,[]{}"', b"[]", b"{ }"])
def test_report_of_very_many_values_is_too_large(value):
    body = b'{"x": [' + b",".join([value] * MOST_VALUES) + b"]}"
    with pytest.raises(InputTooLarge, match="500000 values"):
        parse(body)


@pytest.mark.parametrize("mark", ["\n", "\r\n", "\u2028"])
def test_text_of_very_many_lines_is_too_large(mark):
    with pytest.raises(InputTooLarge):
        parse(document({"Messages": f"x{mark}" * (MOST_VALUES + 1)}, LogLines=None))
    with pytest.raises(InputTooLarge):
        parse("Duplicati Backup report for x\nmachine-id: m\n" + "a: 1\n" * (MOST_VALUES + 1))


def test_unreadable_next_run_is_left_out():
    assert parse(document(extra={"next-scheduled-run": "soon"})).next_scheduled_at is None


@pytest.mark.parametrize("value", ["2026-11-22T02:00:00Z", "20261122T020000Z", "2026-11-22T03:00:00+01:00"])
def test_next_run_is_read_in_both_forms(value):
    assert parse(document(extra={"next-scheduled-run": value})).next_scheduled_at == datetime(
        2026, 11, 22, 2, tzinfo=UTC
    )


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.sampled_from(["Backup", "2026-11-20T02:00:00Z", "00:01:00", "Backups to consider: 1/2/2031 00:00:00", "\x00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
DATA_FIELDS = [
    "MainOperation",
    "ParsedResult",
    "BeginTime",
    "EndTime",
    "Duration",
    "Version",
    "ExaminedFiles",
    "PartialBackup",
    "Messages",
    "Warnings",
    "Errors",
    "Exception",
    "WarningsActualLength",
    "BackendStatistics",
    "ClassName",
    "Message",
    "StackTrace",
]
EXTRA_FIELDS = [
    "machine-id",
    "machine-name",
    "backup-name",
    "backup-id",
    "OperationName",
    "next-scheduled-run",
    "destination-type",
]


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [
        document(LogLines=["Backups to consider: " + "1/1/2031 00:00:00," * 400_000]),
        document(
            LogLines=[f"2026-11-20 03:00:01 +01 - [Error-X-Y]: {n}?" for n in range(100_000)], Exception="x" * 8_000_000
        ),
        document(LogLines=[""] * 2_000_000),
        document({"ExaminedFiles": "1" * 8_000_000}),
        "Duplicati Backup report for x\nmachine-id: m\nLog data:\n" + "\n" * 2_000_000,
        "Duplicati Backup report for x\nmachine-id: m\n" + "a: 1\n" * 1_000_000,
        "Duplicati Backup report for " + " (a, b" * 500_000 + ")\nmachine-id: m\n",
        "Duplicati Backup report for " + " Failed: x" * 500_000 + "\nmachine-id: m\n",
        document({"Interrupted": True}, LogLines=["Put - Completed: -20311399T999999Z.dlist." * 1_000] * 3_000),
        document(LogLines=["PreviousBackupFilelistUpload"] * 300_000),
        "Duplicati Backup report for x\nmachine-id: m\nBeginTime: " + "(1" * 1_000_000,
        "Duplicati Backup report for " + " (" * 1_000_000,
    ],
    ids=[
        "versions",
        "errors",
        "lines",
        "digits",
        "continued",
        "values",
        "brackets",
        "failures",
        "lists of files",
        "broken off",
        "date",
        "title",
    ],
)
def test_hostile_report_is_read_quickly(body):
    began = time.process_time()
    is_read_or_rejected(body if isinstance(body, str) else orjson.dumps(body))
    assert time.process_time() - began < 5


def is_read_or_rejected(body: bytes | str) -> None:
    try:
        report = parse(body, keeps_other_operations=True)
    except (InvalidReport, InputTooLarge) as raised:
        orjson.dumps([raised.message, raised.extra])
        return
    if isinstance(report, NotStored):
        report.reason.encode()
        return
    for text in (report.job_name, *report.messages, *report.warnings, *report.errors):
        assert "\x00" not in text
        text.encode()


@trial(300)
@given(
    data=st.dictionaries(st.sampled_from(DATA_FIELDS), JSON, max_size=3),
    extra=st.dictionaries(st.sampled_from(EXTRA_FIELDS), JSON, max_size=2),
    others=st.dictionaries(st.sampled_from(["LogLines", "Exception", "Data", "Extra"]), JSON, max_size=1),
)
def test_valid_report_with_any_values_changed_is_read_or_rejected(data, extra, others):
    is_read_or_rejected(orjson.dumps(document(data, extra) | others))


@trial(300)
@given(body=JSON.map(orjson.dumps) | st.binary(max_size=60) | st.text(max_size=60))
def test_any_input_is_read_or_rejected(body):
    is_read_or_rejected(body)


@trial(200)
@given(place=st.integers(0, 3600), replacement=st.binary(max_size=3))
def test_damaged_sample_is_read_or_rejected(place, replacement):
    body = (SAMPLES / "success.json").read_bytes()
    is_read_or_rejected(body[:place] + replacement + body[place + len(replacement) :])


def test_identity_of_255_characters_is_kept_and_a_longer_one_shortened_with_a_hash():
    fields = {"machine-id": "server_id", "machine-name": "server_name", "backup-name": "job_name"}
    for field, name in {**fields, "backup-id": "duplicati_id"}.items():
        assert getattr(parse(document(extra={field: "ö" * 255})), name) == "ö" * 255
        first, second = (getattr(parse(document(extra={field: "ö" * 255 + end})), name) for end in "ab")
        assert len(first) == len(second) == 255
        assert first != second
        assert first[:238] == second[:238] == "ö" * 238


def test_server_without_an_id_is_identified_by_its_name():
    report = parse(document(extra={"machine-id": ""}))
    assert (report.server_id, report.server_name) == ("", "nas")


def test_server_without_a_name_is_named_by_its_id():
    report = parse(document(extra={"machine-name": None, "backup-id": None}))
    assert (report.server_id, report.server_name, report.duplicati_id) == ("m1", "m1", "")


STATUS_FOLDER = Path(__file__).parents[1] / "data" / "duplicati" / "status"
STATUS_POSTS = [
    (path.stem, json.loads(line)["body"])
    for path in sorted(STATUS_FOLDER.iterdir())
    for line in path.read_text().splitlines()
]


def test_every_recorded_status_of_a_running_operation_is_not_stored():
    assert len(STATUS_POSTS) == 19
    assert [(name, post) for name, post in STATUS_POSTS if not isinstance(parse(post), NotStored)] == []


@pytest.mark.parametrize("section", ["Data", "Extra"])
def test_a_report_is_no_status_regardless_of_its_other_fields(section):
    status = {"Operation": "Backup", "Status": "Completed", "IsCompleted": True}
    assert "Only reports of backups" in rejection({**status, section: {}}).message


def test_synchronisation_is_read_with_its_own_figures():
    data = {"SourceFiles": 3, "SizeOfSourceFiles": 400, "SizeOfUploadedFiles": 50, "ExaminedFiles": 9}
    report = parse(document({"MainOperation": "Sync", **data}))
    assert (report.examined_files, report.examined_bytes, report.uploaded_bytes) == (3, 400, 50)
    assert (report.is_scheduled, report.for_storage().job_name, report.version_at) == (True, "Files", None)


BACKEND = {
    "KnownFileSize": 7,
    "BackupListCount": 2,
    "FilesUploaded": 1,
    "LastBackupDate": "2026-11-20T02:00:00Z",
    "TotalQuotaSpace": 100,
    "FreeQuotaSpace": 40,
}
EVERYTHING = Figure.STORAGE | Figure.VERSION_COUNT | Figure.FILES | Figure.QUOTA
BACKEND_ALONE = EVERYTHING & ~Figure.FILES


@pytest.mark.parametrize(
    ("data", "backend", "not_told"),
    [
        ({"ExaminedFiles": 5}, BACKEND, Figure(0)),
        ({"ExaminedFiles": 0}, {**BACKEND, "KnownFileSize": 0, "BackupListCount": 0}, Figure(0)),  # real zeros
        ({"ExaminedFiles": 5}, None, BACKEND_ALONE | Figure.UPLOADED),
        ({"ExaminedFiles": 5}, {**dict.fromkeys(BACKEND, 0), "LastBackupDate": "0001-01-01T00:00:00"}, BACKEND_ALONE),
        ({"ParsedResult": "Fatal", "ExaminedFiles": 0}, dict.fromkeys(BACKEND, 0), EVERYTHING),
        ({"ParsedResult": "Error", "ExaminedFiles": 0}, BACKEND, Figure.FILES),
        ({"ParsedResult": "Fatal", "ExaminedFiles": 5}, {**BACKEND, "BackupListCount": 0}, Figure.VERSION_COUNT),
        ({"Interrupted": True, "ExaminedFiles": 5}, {**BACKEND, "KnownFileSize": 0}, Figure.STORAGE),
        ({"PartialBackup": True, "ExaminedFiles": 0}, BACKEND, Figure.FILES),
        ({"Dryrun": True, "ExaminedFiles": 0}, {**BACKEND, "KnownFileSize": 0}, Figure.FILES | Figure.STORAGE),
        ({"ParsedResult": "Warning", "ExaminedFiles": 0}, BACKEND, Figure(0)),
    ],
)
def test_each_figure_is_known_or_unknown(data, backend, not_told):
    report = parse(document({"BackendStatistics": backend, **data}))
    assert report.not_told == not_told | Figure.VERSION_LIST
    assert {figure for figure in Figure if not report.has_figure(figure)} == set(not_told | Figure.VERSION_LIST)


@pytest.mark.parametrize(
    ("total", "free", "expected"),
    [
        (100, 40, (100, 40)),
        (100, 0, (100, 0)),  # full
        (100, -1, (100, None)),
        (0, 0, (None, None)),
        (-1, -1, (None, None)),
        (None, None, (None, None)),
        (0, 40, (None, 40)),
        (-1, 0, (None, None)),
    ],
)
def test_free_space_is_known_full_or_unknown(total, free, expected):
    report = parse(document({"BackendStatistics": {"TotalQuotaSpace": total, "FreeQuotaSpace": free}}))
    assert (report.quota_total_bytes, report.quota_free_bytes) == expected


def test_reason_within_an_exception_is_kept():
    inner = {"ClassName": "System.Net.WebException", "Message": "Unable to connect", "InnerException": None}
    inner["InnerException"] = {"ClassName": "System.Net.Sockets.SocketException", "Message": "No route to host"}
    outer = {"ClassName": "System.AggregateException", "Message": "One or more errors occurred."}
    for within in ({"InnerException": inner}, {"InnerExceptions": [inner]}):
        [error] = parse({**document(), "Data": outer | within}).errors
        assert error.index("One or more errors") < error.index("Unable to connect") < error.index("No route to host")


@pytest.mark.parametrize("head", ["2026-11-20 03.07.11 +01 - ", "2026-11-20 03:07:11 +01 - ", ""])
def test_warnings_are_found_after_prefixes_with_every_time_separator(head):
    report = parse(document(LogLines=[f"{head}[Warning-X-Y]: first", f"{head}[Error-X-Y]: second"]))
    assert (len(report.warnings), len(report.errors)) == (1, 1)
