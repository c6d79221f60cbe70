"""The tab of the program's own logs: choosing file and lines, and following it."""

import re
from html import unescape

import pytest

TAB = "/settings/?tab=application-logs"
LINES = [
    "2031-05-04 10:00:00 [INFO] app.one: a quiet start",
    "2031-05-04 10:00:01 [WARNING] app.two: the disk is <nearly> full",
    "2031-05-04 10:00:02 [ERROR] app.three: it broke",
    "Traceback of it",
]


@pytest.fixture
def files(settings, app):
    folder = settings.data_dir / "logs"
    (folder / "application.log").write_text("\n".join([*LINES, ""]))
    (folder / "application.log.1").write_text("an older line\n")
    return folder


def shown(page: str) -> list[str]:
    return [
        unescape(line).rstrip("\n") for line in re.findall(r'<span class="level-\w+">(.*?)</span>', page, re.DOTALL)
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", LINES),
        ("&level=ERROR", LINES[2:]),
        ("&level=WARN&level=ERROR", LINES[1:]),
        ("&q=DISK", LINES[1:2]),
        ("&file=application.log.1", ["an older line"]),
        ("&file=../../secret", LINES),
        ("&lines=7&level=LOUD", LINES),
    ],
)
def test_the_url_selects_what_is_shown(query, expected, files, admin):
    assert shown(admin.get(TAB + query).text) == expected


def test_only_the_last_lines_are_shown(files, admin):
    (files / "application.log").write_text("\n".join(f"line {number}" for number in range(250)))
    page = admin.get(f"{TAB}&lines=100").text
    assert shown(page)[0] == "line 150"
    assert "100 of 250 lines" in page


def test_an_old_file_is_not_followed(files, admin):
    assert 'id="follow"' in admin.get(TAB).text
    assert 'id="follow"' not in admin.get(f"{TAB}&file=application.log.1").text


def test_nothing_is_sent_while_the_file_is_unchanged(files, admin):
    address = unescape(re.search(r'hx-get="([^"]+)"', admin.get(f"{TAB}&level=ERROR").text)[1])
    assert admin.get(address).status_code == 204
    with (files / "application.log").open("a") as file:
        file.write("2031-05-04 10:00:03 [ERROR] app.four: again\n")
    answer = admin.get(address)
    assert shown(answer.text)[-1].endswith("again")
    assert "quiet start" not in answer.text
    assert "<html" not in answer.text


def test_the_download_applies_the_filter(files, admin):
    address = unescape(re.search(r'href="([^"]+)" download', admin.get(f"{TAB}&level=ERROR&q=broke").text)[1])
    assert admin.get(address).text == LINES[2]


def test_a_filter_without_a_match_and_an_empty_file_are_reported(files, admin):
    assert "No matching lines." in admin.get(f"{TAB}&q=nowhere").text
    (files / "application.log").write_text("")
    assert "The log is empty." in admin.get(TAB).text


def test_other_accounts_have_no_access(files, viewer):
    assert viewer.get(TAB).status_code == 303
    assert viewer.get("/settings/logs/lines").status_code == 403
