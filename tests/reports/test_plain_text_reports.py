"""Reports in Duplicati's plain-text format."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trials import trial

from app.reports.decoding import InvalidReport
from app.reports.parser import Figure, Format, NotStored, Report, parse_report

SAMPLE = (Path(__file__).resolve().parents[1] / "data" / "samples" / "plain-text.txt").read_text(encoding="utf-8")
NOW = datetime(2026, 11, 20, 3, 8, 9, tzinfo=UTC)
RESULTS = (
    "BeginTime: 11/22/2026 2:00:01 AM (1795312801)\nDuration: 00:01:00\nMainOperation: Backup\nParsedResult: Success\n"
)
IDENTITY = "machine-id: 7c0f9d1e\nmachine-name: nas\nbackup-name: Files\nbackup-id: DB-1\n"


def parse(text: str | bytes) -> Report:
    return parse_report(text, received_at=NOW, zone=ZoneInfo("UTC"))


def rejection(text: str) -> InvalidReport:
    with pytest.raises(InvalidReport) as caught:
        parse(text)
    return caught.value


def test_sample_is_read_completely():
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


def test_windows_line_ends_change_nothing():
    assert parse(SAMPLE.replace("\n", "\r\n")) == parse(SAMPLE)


def test_bytes_are_read_like_text():
    assert parse(SAMPLE.encode()) == parse(SAMPLE)


def test_lines_without_a_prefix_belong_to_the_previous_log_line():
    line = "2026-11-22 03:01:00 +01 - [Error-Duplicati.X-Y]: first\n   at A.B()\n\nlast\n"
    report = parse(SAMPLE + line)
    assert len(report.messages) == 2
    assert report.errors == ("2026-11-22 03:01:00 +01 - [Error-Duplicati.X-Y]: first\n   at A.B()\n\nlast",)


def test_title_of_newer_versions_names_server_and_backup():
    body = "\n".join(line for line in SAMPLE.split("\n")[1:] if not line.startswith(("machine-", "backup-")))
    report = parse(f"Duplicati Backup report for Docs (old) (7c0f9d1e5b3a48629d5e, DB-7, büro)\n{body}")
    assert (report.job_name, report.server_id) == ("Docs (old)", "7c0f9d1e5b3a48629d5e")
    assert (report.duplicati_id, report.server_name) == ("DB-7", "büro")


def test_separate_lines_precede_the_title():
    report = parse(SAMPLE.replace("for Documents", "for Something else"))
    assert report.job_name == "Documents"


def test_missing_server_name_is_rejected_with_the_option_that_helps():
    text = SAMPLE.replace("machine-id: 7c0f9d1e5b3a48629d5e0f4a1b2c3d4e\n", "")
    assert parse(text).server_id == ""
    error = rejection(text.replace("machine-name: attic-nas\n", ""))
    assert error.status == 400
    assert "machine-id: %machine-id%" in error.message
    assert error.extra["missingFields"] == ["machine-id"]
    assert "--send-http-result-output-format=Json" in error.message


def test_descriptive_names_are_optional():
    report = parse(SAMPLE.replace("machine-name: attic-nas\n", "").replace("backup-id: DB-1\n", ""))
    assert (report.server_name, report.duplicati_id) == (report.server_id, "")


def test_unreadable_date_of_a_language_is_rejected_with_the_option_that_helps():
    error = rejection(SAMPLE.replace(" (1795312801)", ""))
    assert "BeginTime" in error.message
    assert "--send-http-result-output-format=Json" in error.message


def test_unreadable_end_of_a_language_is_computed():
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


def test_value_directly_after_missing_results_is_read():
    text = f"Duplicati Backup report for Files\n\nFailed: Disk is gone\nDetails: x\n\nnull?{IDENTITY}"
    report = parse(text)
    assert (report.server_id, report.errors) == ("7c0f9d1e", ("Disk is gone\nx",))


def test_failure_of_another_operation_is_not_stored():
    text = f"Duplicati Restore report for Files\n\nFailed: x\nDetails: x\n{IDENTITY}"
    assert isinstance(parse(text), NotStored)


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


def test_other_text_is_rejected():
    assert "neither JSON nor" in rejection("Hello: world").message


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


@trial(300)
@given(lines=st.lists(LINES | st.text(max_size=20), max_size=12))
def test_any_plain_text_is_read_or_rejected(lines):
    text = "\n".join(["Duplicati Backup report for Files", *lines])
    try:
        report = parse(text)
    except InvalidReport:
        return
    assert isinstance(report, NotStored) or report.job_name


@trial(200)
@given(place=st.integers(0, 850), replacement=st.text(max_size=4))
def test_damaged_sample_is_read_or_rejected(place, replacement):
    text = SAMPLE[:place] + replacement + SAMPLE[place + len(replacement) :]
    try:
        report = parse(text)
    except InvalidReport:
        return
    assert isinstance(report, NotStored) or (report.server_name and report.job_name)


HASH = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("title", "identity"),
    [
        ("Docs (m1, DB-7, nas)", ("Docs", "m1", "DB-7", "nas")),
        ("Docs (old) (m1, DB-7, nas)", ("Docs (old)", "m1", "DB-7", "nas")),
        ("a, b, c (m1, DB-7, nas)", ("a, b, c", "m1", "DB-7", "nas")),
        ('The "best" (one, of, all) (m1, DB-7, nas)', ('The "best" (one, of, all)', "m1", "DB-7", "nas")),
        ("Docs (m1, DB-7, nas (attic))", ("Docs", "m1", "DB-7", "nas (attic)")),
        ("Docs (m1, DB-7, nas, attic)", ("Docs", "m1", "DB-7", "nas, attic")),
        ("Docs (m1, DB-7, nas (a, b, c))", ("Docs", "m1", "DB-7", "nas (a, b, c)")),
        (f"Duplicati.CommandLine (, {HASH}, nas)", ("Duplicati.CommandLine", "", HASH, "nas")),
        ("Docs (, DB-7, nas)", ("Docs", "", "DB-7", "nas")),
        ("Docs (m1, , nas)", ("Docs", "m1", "", "nas")),
        ("Docs (m1, my own id, nas)", ("Docs", "m1", "my own id", "nas")),
        ("Docs (m1, DB-7, nas (old, DB-1, x))", ("Docs", "m1", "DB-7", "nas (old, DB-1, x)")),
        ("Docs (a, DB-1, b) (m1, DB-7, nas)", ("Docs (a, DB-1, b)", "m1", "DB-7", "nas")),
        ("Docs ExaminedFiles: 7 (m1, DB-7, nas)", ("Docs ExaminedFiles: 7", "m1", "DB-7", "nas")),
        ("Docs\nand more (m1, DB-7, nas)", ("Docs\nand more", "m1", "DB-7", "nas")),
        ("Docs (m1, DB-7, nas\nin the attic)", ("Docs", "m1", "DB-7", "nas\nin the attic")),
    ],
)
def test_title_is_read_from_the_right(title, identity):
    report = parse(f"Duplicati Backup report for {title}\n\n{RESULTS}")
    assert (report.job_name, report.server_id, report.duplicati_id, report.server_name) == identity


@pytest.mark.parametrize("name", ["Docs", "Docs (old)", "Docs (a, b)", "Docs)", "Docs ("])
def test_title_without_an_identity_is_the_name_of_the_job(name):
    text = f"Duplicati Backup report for {name}\nmachine-id: m1\n\n{RESULTS}"
    assert parse(text).job_name == name


@pytest.mark.parametrize("name", ["Docs", "Docs (m1, DB-7, nas)"])
@pytest.mark.parametrize("before", [" ", "\t", ": ", " - "])
@pytest.mark.parametrize("first", ["DeletedFiles: 2", "ExaminedFiles: 7", "MainOperation: Backup"])
def test_result_on_the_line_of_the_title_is_not_part_of_the_name(name, before, first):
    text = f"Duplicati Backup report for {name}{before}{first}\n{RESULTS}\nmachine-id: m1\n"
    report = parse(text)
    assert (report.job_name, report.server_id) == ("Docs", "m1")
    assert report.deleted_files == (2 if "Deleted" in first else 0)


def test_a_log_without_preceding_lines_is_rejected():
    assert "machine-id" in str(rejection("Log data:\nmachine-id: m1\nbackup-name: Files\n"))


def test_a_missing_operation_is_rejected():
    assert "MainOperation" in str(rejection(f"Duplicati Backup report for Files\n{IDENTITY}\nMainOperation:\n"))


@pytest.mark.parametrize("operation", ["Compact", "Test", "Repair", "Restore"])
def test_other_operations_are_not_rejected_for_their_dates(operation):
    results = (
        f"MainOperation: {operation}\nEndTime: 1/1/0001 12:00:00 AM (-62135596800)\nBeginTime: 1/1/0001 12:00:00 AM\n"
    )
    text = f"Duplicati {operation} report for Docs (m1, DB-7, nas)\n\n{results}"
    assert isinstance(parse(text), NotStored)
    assert isinstance(parse_report(text, received_at=NOW, zone=ZoneInfo("UTC"), keeps_other_operations=True), NotStored)


def test_failure_on_the_line_of_the_title_is_the_reason():
    report = parse("Duplicati Backup report for Docs Failed: Disk is gone\nDetails: X: Disk is gone\nmachine-id: m1\n")
    assert (report.job_name, report.status, report.errors) == ("Docs", "Fatal", ("X: Disk is gone",))


@pytest.mark.parametrize(
    "head",
    [
        "2026-04-07 23.52.38 +02",
        "1405-01-15 23:45:29 +03",
        "1447-10-19 13:31:11 +03",
        "2569-04-09 13:09:10 +07",
        "2026-04-07 23:52:38 +02:00",
        "2026-04-07 23:52:38",
    ],
)
def test_log_lines_of_every_culture_are_recognised(head):
    lines = [f"{head} - [Warning-X-Y]: first", "its second line", f"{head} - [Error-X-Y]: second"]
    text = f"Duplicati Backup report for Docs (m1, DB-7, nas)\n\n{RESULTS}\nLog data:\n" + "\n".join(lines)
    report = parse(text)
    assert report.messages == ("\n".join(lines[:2]), lines[2])
    assert (report.warnings, report.errors) == (report.messages[:1], report.messages[1:])


def test_figures_missing_in_the_text_are_unknown():
    report = parse(f"Duplicati Backup report for Docs (m1, DB-7, nas)\n\nExaminedFiles: 0\n{RESULTS}")
    assert (
        report.not_told == Figure.STORAGE | Figure.VERSION_COUNT | Figure.VERSION_LIST | Figure.QUOTA | Figure.UPLOADED
    )
    assert report.format == Format.TEXT
