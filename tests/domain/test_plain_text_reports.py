"""Reports in Duplicati's plain-text format."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.reports import InvalidReport, Report, parse_report

SAMPLE = (Path(__file__).parent / "samples" / "plain-text.txt").read_text(encoding="utf-8")
NOW = datetime(2026, 11, 20, 3, 8, 9, tzinfo=UTC)
IDENTITY = "machine-id: 7c0f9d1e\nmachine-name: nas\nbackup-name: Files\nbackup-id: DB-1\n"


def parse(text: str | bytes) -> Report:
    return parse_report(text, received_at=NOW, zone=ZoneInfo("UTC"))


def refusal(text: str) -> InvalidReport:
    with pytest.raises(InvalidReport) as caught:
        parse(text)
    return caught.value


def test_sample_is_read_whole():
    report = parse(SAMPLE)
    assert (report.server_id, report.server_name) == ("7c0f9d1e5b3a48629d5e0f4a1b2c3d4e", "attic-nas")
    assert (report.job_name, report.duplicati_id, report.main_operation) == ("Documents", "DB-1", "Backup")
    assert report.began_at == datetime(2026, 11, 22, 2, 0, 1, tzinfo=UTC)
    assert report.ended_at == datetime(2026, 11, 22, 2, 7, 12, tzinfo=UTC)
    assert report.duration_s == pytest.approx(431.870781)
    assert (report.status, report.warning_count, report.message_count) == ("Warning", 1, 23)
    assert (report.examined_files, report.examined_bytes) == (48211, 90123456789)
    assert (report.uploaded_bytes, report.storage_bytes, report.version_count) == (52433210, 10234567890, 10)
    assert (report.is_partial, report.is_dry_run) == (False, False)
    assert report.warnings == report.messages
    assert report.messages[0].endswith("Failed to process path: /srv/a")


def test_line_ends_of_windows_change_nothing():
    assert parse(SAMPLE.replace("\n", "\r\n")) == parse(SAMPLE)


def test_bytes_are_read_like_text():
    assert parse(SAMPLE.encode()) == parse(SAMPLE)


def test_lines_without_a_head_belong_to_the_log_line_before():
    line = "2026-11-22 03:01:00 +01 - [Error-Duplicati.X-Y]: first\n   at A.B()\n\nlast\n"
    report = parse(SAMPLE + line)
    assert len(report.messages) == 2
    assert report.errors == ("2026-11-22 03:01:00 +01 - [Error-Duplicati.X-Y]: first\n   at A.B()\n\nlast",)


def test_title_of_newer_versions_names_machine_and_backup():
    body = "\n".join(line for line in SAMPLE.split("\n")[1:] if not line.startswith(("machine-", "backup-")))
    report = parse(f"Duplicati Backup report for Docs (old) (7c0f9d1e5b3a48629d5e, DB-7, büro)\n{body}")
    assert (report.job_name, report.server_id) == ("Docs (old)", "7c0f9d1e5b3a48629d5e")
    assert (report.duplicati_id, report.server_name) == ("DB-7", "büro")


def test_lines_of_their_own_beat_the_title():
    report = parse(SAMPLE.replace("for Documents", "for Something else"))
    assert report.job_name == "Documents"


def test_machine_that_is_not_named_is_refused_with_the_option_that_helps():
    error = refusal(SAMPLE.replace("machine-id: 7c0f9d1e5b3a48629d5e0f4a1b2c3d4e\n", ""))
    assert error.status == 400
    assert error.extra["missingFields"] == ["machine-id"]
    assert "--send-http-result-output-format=Json" in error.message


def test_names_that_only_describe_may_be_absent():
    report = parse(SAMPLE.replace("machine-name: attic-nas\n", "").replace("backup-id: DB-1\n", ""))
    assert (report.server_name, report.duplicati_id) == (report.server_id, "")


def test_date_in_a_language_without_number_is_refused_with_the_option_that_helps():
    error = refusal(SAMPLE.replace(" (1795312801)", ""))
    assert "BeginTime" in error.message
    assert "--send-http-result-output-format=Json" in error.message


def test_end_in_a_language_without_number_is_computed():
    report = parse(SAMPLE.replace(" (1795313232)", ""))
    assert report.ended_at == datetime(2026, 11, 22, 2, 7, 12, 870_000, tzinfo=UTC)


def test_iso_date_needs_no_number():
    report = parse(SAMPLE.replace("11/22/2026 2:00:01 AM (1795312801)", "2026-11-22T02:00:01+01:00"))
    assert report.began_at == datetime(2026, 11, 22, 1, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize("gap", ["", "\n", "\nnull?"])
def test_failure_is_a_fatal_run(gap):
    text = (
        "Duplicati Backup report for Files\n\nFailed: Disk is gone\n"
        f"Details: System.IO.IOException: Disk is gone\n   at A.B()\n--- End of stack ---\n   at C.D(){gap}\n{IDENTITY}"
    )
    report = parse(text)
    assert (report.status, report.error_count, report.began_at) == ("Fatal", 1, NOW)
    assert report.errors == ("System.IO.IOException: Disk is gone\n   at A.B()\n--- End of stack ---\n   at C.D()",)


def test_value_directly_behind_missing_results_is_read():
    text = f"Duplicati Backup report for Files\n\nFailed: Disk is gone\nDetails: x\n\nnull?{IDENTITY}"
    report = parse(text)
    assert (report.server_id, report.errors) == ("7c0f9d1e", ("Disk is gone\nx",))


def test_failure_of_another_operation_is_refused():
    assert "backups" in refusal(f"Duplicati Restore report for Files\n\nFailed: x\nDetails: x\n{IDENTITY}").message


def test_failure_with_results_keeps_both():
    report = parse(
        SAMPLE.replace("\n\nDeletedFiles", "\n\nFailed: Disk is gone\nDetails: X: Disk is gone\n\nDeletedFiles")
    )
    assert report.examined_files == 48211
    assert report.errors == ("X: Disk is gone",)


def test_lists_in_brackets_are_read():
    lists = "Messages: [\n    first,\n    second\n]\nWarnings: []\nErrors: [\n    bad\n]\nExaminedFiles: 7\n"
    report = parse(SAMPLE.split("\nLog data:")[0].replace("ExaminedFiles: 48211\n", lists))
    assert (report.messages, report.warnings, report.errors) == (("first", "second"), (), ("bad",))
    assert report.examined_files == 7


def test_other_text_is_refused():
    assert "neither JSON nor" in refusal("Hello: world").message


LINES = st.sampled_from(
    [
        *SAMPLE.split("\n"),
        *IDENTITY.split("\n"),
        "BeginTime:",
        "BeginTime: (99999999999)",
        "MainOperation:",
        "MainOperation: Backup",
        "Messages: [",
        "]",
        "Details: x",
        "Failed:",
        "null?",
        "    inner: 5",
        "BackendStatistics: 5",
        "machine-id:",
        "\x00",
        "Log data:",
        "\u2028",
    ]
)


@settings(max_examples=300, deadline=None)
@given(lines=st.lists(LINES | st.text(max_size=20), max_size=12))
def test_any_plain_text_is_read_or_refused(lines):
    text = "\n".join(["Duplicati Backup report for Files", *lines])
    try:
        report = parse(text)
    except InvalidReport:
        return
    assert report.job_name


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, 850), replacement=st.text(max_size=4))
def test_damaged_sample_is_read_or_refused(place, replacement):
    text = SAMPLE[:place] + replacement + SAMPLE[place + len(replacement) :]
    try:
        report = parse(text)
    except InvalidReport:
        return
    assert report.server_id
