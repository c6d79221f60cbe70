"""Log files over HTTP."""

import os

import pytest

LOGS = "/api/application-logs"
BASE = "application.log"
LINES = (
    "2031-05-04 [INFO] app: started",
    "2031-05-04 [WARNING] app: Strange",
    "2031-05-04 [ERROR] app: broken",
    "  a line of a trace",
    "",
    "2031-05-04 [CRITICAL] app: gone",
)
TEXT = "\n".join(LINES) + "\n"


@pytest.fixture
def write(settings):
    def write(name=BASE, text=TEXT):
        folder = settings.data_dir / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        os.utime(folder / name, (0, 0))

    return write


def test_the_list_of_files_has_the_shape_of_an_excerpt(admin, write):
    write(f"{BASE}.2")
    write(f"{BASE}.1")
    write(f"{BASE}.11")
    answer = admin.get(LOGS).get_json()
    files = [name for name in answer.pop("availableFiles") if name != BASE]
    assert files == [f"{BASE}.1", f"{BASE}.2"]
    assert answer == {
        "logs": "",
        "fileSize": 0,
        "lastModified": "2031-05-04T12:00:00.000Z",
        "lineCount": 0,
        "currentFile": "",
    }


def test_the_last_lines_of_a_file(admin, write):
    write(f"{BASE}.1", "a\nb\nc\n")
    answer = admin.get(f"{LOGS}?file={BASE}.1&tail=2").get_json()
    assert (answer["logs"], answer["lineCount"], answer["fileSize"]) == ("c\n", 4, 6)
    assert (answer["currentFile"], answer["lastModified"]) == (f"{BASE}.1", "1970-01-01T00:00:00.000Z")


def test_an_invalid_tail_returns_the_whole_file(admin, write):
    write(f"{BASE}.1", "a\n" * 2000)
    assert len(admin.get(f"{LOGS}?file={BASE}.1&tail=x").get_json()["logs"]) == 4000
    assert len(admin.get(f"{LOGS}?file={BASE}.1").get_json()["logs"].split("\n")) == 1000


def test_a_missing_file_is_reported_with_200(admin):
    answer = admin.get(f"{LOGS}?file={BASE}.9")
    assert (answer.status_code, answer.get_json()["error"]) == (200, "Log file not found")


@pytest.mark.parametrize("tail", ["0", "-1", "10001"])
def test_a_tail_out_of_bounds_is_rejected(admin, tail):
    answer = admin.get(f"{LOGS}?tail={tail}")
    assert (answer.status_code, answer.get_json()["error"]) == (400, "Invalid tail parameter")


@pytest.mark.parametrize("path", ["", "/export"])
@pytest.mark.parametrize(
    "name", ["../duplistatus.db", "application.log/../x", "application.log.x", "application.log\n", "/etc/passwd", "."]
)
def test_no_other_file_can_be_read(admin, path, name):
    answer = admin.get(f"{LOGS}{path}", query_string={"file": name})
    assert (answer.status_code, answer.get_json()["error"]) == (400, "Invalid file parameter format")


@pytest.mark.parametrize("number", [0, 11, 10**8])
def test_an_unused_file_number_is_rejected(admin, number):
    assert admin.get(f"{LOGS}?file={BASE}.{number}").get_json()["error"] == "Invalid rotated file number"


@pytest.mark.parametrize("number", [0, 11])
def test_an_export_reports_an_unused_file_number_as_missing(admin, write, number):
    write(f"{BASE}.{number}")
    answer = admin.get(f"{LOGS}/export?file={BASE}.{number}")
    assert (answer.status_code, answer.get_json()["error"]) == (500, "Failed to export logs")


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ({}, [0, 1, 2, 3, 5]),
        ({"logLevels": "ERROR"}, [2, 3, 5]),
        ({"logLevels": "info, warn"}, [0, 1, 3]),
        ({"logLevels": "nonsense"}, [0, 1, 2, 3, 5]),
        ({"search": "STRANGE"}, [1]),
        ({"search": "app", "logLevels": "ERROR"}, [2, 5]),
    ],
)
def test_an_export_contains_the_matching_lines(admin, write, query, kept):
    write(f"{BASE}.1")
    answer = admin.get(f"{LOGS}/export", query_string={"file": f"{BASE}.1", **query})
    assert answer.mimetype == "text/plain"
    assert answer.headers["Content-Disposition"].endswith('"duplistatus-logs-2031-05-04T12-00-00.txt"')
    assert answer.text == "\n".join(LINES[index] for index in kept)


def test_an_export_needs_a_file_that_exists(admin):
    assert admin.get(f"{LOGS}/export").get_json()["error"] == "File parameter is required"
    answer = admin.get(f"{LOGS}/export?file={BASE}.9")
    assert (answer.status_code, answer.get_json()["details"]) == (500, "Log file not found")


def test_only_administrators_have_access(client):
    assert client.get(LOGS).status_code == 401
    assert client.get(f"{LOGS}/export").status_code == 401
