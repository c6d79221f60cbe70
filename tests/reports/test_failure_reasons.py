"""Why a run failed: one line from what Duplicati wrote, and the formatted lines of its log."""

import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import pytest

from app.reports.outcomes import find_reason, list_lines, plain_line
from app.reports.parser import Report, parse_report

REPORTS = Path(__file__).parents[1] / "data" / "duplicati" / "reports"
EXPECTED = json.loads((REPORTS / "expected.json").read_text())
NOW = datetime(2026, 12, 1, tzinfo=UTC)
HEAD = "2026-04-07 23:52:38 +02 - [Error-Duplicati.Library.Main.Controller-FailedOperation]: "
STACK = "\n   at System.Net.Sockets.Socket.Connect(EndPoint remote) in /src/Socket.cs:line 12"
NOISE = (
    "2026-11-03 05:30:03 +01 - [Warning-Duplicati.Library.Main.Controller-FailedWriteOperation]: "
    "LocalDatabase does not contain a previous operation."
)
REASONS = [name for name, wanted in EXPECTED.items() if wanted.get("facts", {}).get("reason")]


def recorded(name: str, form: str) -> Report:
    """Return the recorded report of a run, as JSON or as the text of a form."""
    body = json.loads((REPORTS / f"{name}.{form}.json").read_text())["body"]
    text = parse_qs(body)["message"][0] if form == "form" else body
    report = parse_report(text, received_at=NOW, zone=ZoneInfo("UTC"))
    assert isinstance(report, Report)
    return report


@pytest.mark.parametrize("form", ["json", "form"])
@pytest.mark.parametrize("name", REASONS)
def test_the_reason_of_every_recorded_failure_is_found(name: str, form: str):
    report = recorded(name, form)
    wanted = EXPECTED[name]["facts"]["reason"]
    assert find_reason(report.errors, report.warnings) == wanted
    assert list_lines(report.errors, report.warnings)[0] == wanted
    assert list_lines(report.errors, report.warnings).count(wanted) == 1


def test_there_are_recorded_failures():
    assert len(REASONS) > 10


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{HEAD}The operation Backup has failed\nSystem.Exception: Disk is gone{STACK}", "Disk is gone"),
        (f"{HEAD}操作 Backup 失败\nSystem.Exception: Disk is gone", "Disk is gone"),
        (f"{HEAD}The operation Backup has failed with error: Disk is gone", "Disk is gone"),
        ("2026-04-07 23.52.38 +02 - [Error-Duplicati.X-Y]: Disk is gone", "Disk is gone"),
        ("1405-01-15 23:45:29 +03 - [Error-Duplicati.X-Y]: Disk is gone", "Disk is gone"),
        ("[Error-Duplicati.X-Y]: Disk is gone", "Disk is gone"),
        ("System.AggregateException: One or more errors occurred. (No route to host)", "No route to host"),
        ("System.AggregateException: Mindestens ein Fehler. (Kein Weg (113))", "Kein Weg (113)"),
        ("One or more errors occurred. (No route to host)", "No route to host"),
        ("System.AggregateException: One or more errors occurred. (One or more errors occurred. (Full))", "Full"),
        ("System.AggregateException: One or more errors occurred. (Full) (Full) (Closed)", "Full; Closed"),
        (
            "System.AggregateException: One or more errors occurred. ---> System.Net.WebException: Unable to connect "
            "to the remote server ---> System.Net.Sockets.SocketException: No route to host" + STACK,
            "Unable to connect to the remote server: No route to host",
        ),
        (
            "System.Net.Http.HttpRequestException: Connection refused (nas:9)\n"
            " ---> System.Net.Sockets.SocketException (111): Connection refused" + STACK,
            "Connection refused (nas:9)",
        ),
        (
            "System.Net.WebException: The SSL connection could not be established, see inner exception.\n"
            f" ---> System.Security.Authentication.AuthenticationException: The certificate is invalid{STACK}",
            "The SSL connection could not be established: The certificate is invalid",
        ),
        (
            "Duplicati.Library.Interface.UserInformationException: \nThe database has version 19.\n\nThis is likely "
            "due to an upgrade.\n   at A.B()",
            "The database has version 19.",
        ),
        (
            "2026-11-30 05:00:00 +01 - [Error-X-FatalError]: Fatal error\n"
            "System.Net.WebException: The remote server returned an error: (403) Forbidden.\n   bei A.B(C c)\n"
            "--- Ende der Stapelüberwachung ---\n   at D.E()",
            "The remote server returned an error: (403) Forbidden.",
        ),
        ("System.OutOfMemoryException", "OutOfMemoryException"),
        ("a ---> b", "a ---> b"),
        (
            "System.Exception: Repair it:\n  see docs.example.org for (more) help",
            "Repair it: see docs.example.org for (more) help",
        ),
        ("Failed to get C:\\a [1]: x", "Failed to get C:\\a [1]: x"),
        ("", ""),
        ("\n\n", ""),
    ],
)
def test_the_reason_is_one_plain_line(text: str, reason: str):
    assert find_reason([text]) == reason


def test_the_error_that_ended_the_run_precedes_other_errors():
    files = "2026-11-30 05:00:00 +01 - [Error-Duplicati.Library.Main.X-PathFailed]: Failed to process path: /srv/a"
    assert (
        find_reason([files, f"{HEAD}The operation Backup has failed\nSystem.Exception: Disk is gone"]) == "Disk is gone"
    )


def test_an_exception_next_to_the_log_is_the_reason():
    assert find_reason(["[Error-X-Y]: second", "System.Exception: first"]) == "first"


def test_without_errors_the_first_meaningful_warning_is_the_reason():
    assert find_reason([], [NOISE, "[Warning-X-SourceIsMissing]: The path is missing"]) == "The path is missing"
    assert find_reason([], []) == ""


def test_a_reason_has_a_maximum_length():
    assert len(find_reason(["x" * 100_000])) <= 500
    assert len(plain_line("System.Exception: " + "a. ---> " * 100_000)) <= 2_000


def test_errors_precede_warnings_and_noise_is_last():
    warnings = [NOISE, "[Warning-X-MissingFile]: Missing file: a", "[Warning-X-MissingFile]: Missing file: b"]
    errors = ["[Error-X-Y]: First", "2026-04-07 23:52:38 +02 - [Error-X-Z]: First", "[Error-X-Y]: Second"]
    assert list_lines(errors, warnings) == [
        "First",
        "Second",
        "Missing file: a",
        "Missing file: b",
        "LocalDatabase does not contain a previous operation.",
    ]


def test_a_line_keeps_every_paragraph_without_the_stack_trace():
    text = f"{HEAD}Failed\nSystem.Exception: One.\n\nTwo.{STACK}"
    assert plain_line(text) == "One. Two."


def test_lines_end_at_the_limit():
    assert len(list_lines([f"[Error-X-Y]: {number} {'x' * 100}" for number in range(1000)], (), limit=1000)) < 12


@pytest.mark.parametrize(
    "part",
    ["One or more errors occurred. (", "A.B", "a ", " ---> ", "---> (Inner #1) ", "\n   at A.B(", "[Error-", ") ("],
)
def test_a_hostile_text_is_read_quickly(part: str):
    for text in (part * 50_000, HEAD + part * 50_000, "System.AggregateException: a. (" + part * 50_000):
        assert len(plain_line(text)) <= 2_000


@pytest.mark.parametrize("sign", [" ", "\n", "\t", "-", ">", "(", "["])
def test_repeated_characters_are_read_quickly(sign):
    # Each would take seconds if every character were compared with every other one.
    assert find_reason([sign * 20_000 + "x"] * 50) is not None


def test_noise_alone_is_no_reason():
    assert find_reason([], [NOISE]) == ""
    assert list_lines([], [NOISE]) == ["LocalDatabase does not contain a previous operation."]


def test_only_the_first_entries_of_very_many_are_read():
    assert len(list_lines([f"Error {number}" for number in range(5_000)], [])) == 500
