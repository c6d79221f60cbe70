"""Pages: unsaved and aborted runs, missing figures, and clocks that are ahead."""

import re
from datetime import timedelta

import pytest

STOPPED_LOG = [
    "2031-05-04 10:00:00 +00 - [Information-Duplicati.Library.Main.BasicResults-BackendEvent]: Backend event: Put - "
    "Completed: duplicati-{at:%Y%m%dT%H%M%S}Z.dlist.zip.aes (2 KB)"
]
LOG = ["2031-05-04 10:00:00 +00 - [Information-Duplicati.Library.Main.BasicResults-BackendEvent]: Backend event: List"]
NOTHING = {"KnownFileSize": 0, "BackupListCount": 0, "FilesUploaded": 0, "LastBackupDate": "0001-01-01T00:00:00"}
ABORTED = {"Interrupted": True, "BackendStatistics": NOTHING, "Messages": LOG, "MessagesActualLength": 1}


def page_of_newest_run(admin) -> str:
    link = re.search(r"/detail/[^\"]+/backup/[0-9a-f-]{36}", admin.get("/detail/id-of-nas").text)[0]
    return admin.get(link).text


@pytest.mark.parametrize(
    ("changes", "word", "sentence"),
    [
        ({"Dryrun": True}, "Dry run", "This was a dry run"),
        (ABORTED, "Aborted", "This run was aborted and saved nothing."),
        ({**ABORTED, "PartialBackup": True}, "Partial", "This run saved a version with only part of the files."),
    ],
    ids=["dry run", "aborted", "partial"],
)
def test_the_run_page_shows_the_outcome_and_the_status(admin, post, changes, word, sentence):
    post(2, **changes)
    text = page_of_newest_run(admin)
    assert f'<span class="pill">{word}</span>' in text
    assert sentence in text


def test_the_page_of_a_stopped_run_shows_that_a_version_was_saved(admin, post, clock):
    at = clock() - timedelta(hours=2)
    lines = [line.format(at=at) for line in STOPPED_LOG]
    post(2, status="Warning", **{**ABORTED, "Messages": lines})
    assert "This run was stopped manually and saved a version." in page_of_newest_run(admin)


def test_the_server_pages_keep_the_state_and_show_an_aborted_run(admin, post):
    post(26)
    post(2, **ABORTED)
    text = admin.get("/detail/id-of-nas").text
    assert "was aborted and saved nothing." in text
    assert '<span class="pill">Aborted</span>' in text
    assert "7.00 GB" in re.search(r"Storage used</dt><dd>([^<]+)", text)[1]


def test_the_dashboard_shows_an_aborted_run_and_counts_the_job_as_ok(admin, post):
    post(20)
    post(2, **ABORTED)
    for view in ("cards", "table"):
        text = admin.get(f"/?view={view}").text
        assert '<span class="pill">Aborted</span>' in text
        assert "The only job is OK" in text


def test_a_job_without_saved_runs_is_listed_as_an_issue(admin, post):
    post(2, **ABORTED)
    assert "No run of this job has saved data yet" in admin.get("/").text


def test_missing_figures_of_a_run_are_a_dash_and_not_zero(admin, post):
    post(26)
    post(2, BackendStatistics=None)
    text = page_of_newest_run(admin)
    storage = re.search(r"Storage size</dt><dd>(.+?)</dd>", text, re.S)[1]
    assert ("\u2013" in storage, "0 Bytes" in storage) == (True, False)
    assert "Not included in the report of this run" in text


def test_the_versions_of_a_job_are_listed_with_that_of_the_run(admin, post, clock):
    days = [clock() - timedelta(days=day) for day in (1, 2)]
    listed = ", ".join(f"{day:%Y-%m-%d %H:%M:%S}" for day in days)
    head = f"{clock():%Y-%m-%d %H:%M:%S} +00 - [Information-X-BackupList]: "
    post(2, Messages=[f"{head}Backups to consider: {listed}", f"{head}All backups to delete: "])
    text = admin.get("/detail/id-of-nas?backup=Photos").text
    assert "3 versions that can be restored" in text
    assert "contain no version list" not in text


def test_versions_without_a_list_may_have_been_deleted(admin, post):
    for age_h in (26, 2):
        post(age_h)
    text = admin.get("/detail/id-of-nas?backup=Photos").text
    assert "2 versions that can be restored" in text
    assert "The reports of this job contain no version list." in text


def test_figures_missing_in_all_runs_are_not_shown_as_zero(admin, post):
    post(2, BackendStatistics=None)
    text = admin.get("/detail/id-of-nas?backup=Photos").text
    for tile in ("Available versions", "Storage used", "Total uploaded"):
        assert re.search(rf"{tile}</dt>\s*<dd>N/A</dd>", text), tile
    card = admin.get("/detail/id-of-nas/job?backup=Photos").text
    for figure in ("Storage", "Uploaded", "Versions"):
        assert f'{figure}</dt><dd><span class="missing">N/A</span></dd>' in card
    assert 'Files</dt><dd><span class="missing">' not in card


def test_a_clock_that_is_ahead_is_shown_on_the_server_and_run_pages(admin, post):
    post(-24 * 30)
    assert "The clock of this server is about 4 weeks ahead." in admin.get("/detail/id-of-nas").text
    assert "The clock of this server is about 4 weeks ahead: the report says" in page_of_newest_run(admin)


def test_an_aborted_run_is_shown_with_the_next_run(admin, post, clock):
    broken = clock() - timedelta(hours=26)
    own = clock() - timedelta(hours=2)
    line = "2031-05-04 10:00:00 +00 - [Information-X.UploadSyntheticFilelist-PreviousBackupFilelistUpload]: Uploading"
    lines = [line, STOPPED_LOG[0].format(at=broken), STOPPED_LOG[0].format(at=own)]
    post(50)
    post(2, Messages=lines)
    assert "was interrupted and sent no report." in page_of_newest_run(admin)
    text = admin.get("/detail/id-of-nas?backup=Photos").text
    assert "was interrupted.</p>" in text
    assert re.search(r"<title>The run of [^<]+ was interrupted</title>", text)
