"""Figures missing in a report are unknown, not zero, and known figures are kept; on both databases."""

from datetime import timedelta
from typing import Any

import pytest
from factories import BEGAN_AT, find_job, make_run, report_body
from sqlalchemy import select

from app.audit.log import Actor
from app.backups import overview, run_deletion
from app.backups.merging import merge_servers
from app.backups.models import Job, JobDay, Run
from app.core.db.orm import add_time, pack_times, unpack_times, writing
from app.core.instants import iso
from app.reports.parser import NO_FIGURES, Figure

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
FIGURES = {"storage_bytes": 1000, "version_count": 3, "examined_files": 50, "examined_bytes": 600}
QUOTA = {"quota_total_bytes": 9000, "quota_free_bytes": 4000}
KNOWN = FIGURES | QUOTA
TEXT = Figure.STORAGE | Figure.VERSION_COUNT | Figure.VERSION_LIST | Figure.QUOTA


@pytest.fixture
def settings(settings_of_each_database):
    """Every test here runs on SQLite and on PostgreSQL."""
    return settings_of_each_database


@pytest.fixture(autouse=True)
def database(db):
    """A database, open for the test."""


def known(job: Job) -> dict[str, Any]:
    return {name: getattr(job, f"last_{name}") for name in KNOWN}


def storage_of_days(db) -> list[int]:
    db.session.commit()
    return list(db.session.scalars(select(JobDay.last_storage_bytes).order_by(JobDay.day)))


def test_a_run_without_figures_changes_nothing():
    make_run(**KNOWN)
    make_run(began_at=BEGAN_AT + DAY, not_told=NO_FIGURES, status="Fatal")
    assert known(find_job()) == KNOWN


def test_zeros_of_a_good_run_are_stored():
    make_run(**KNOWN)
    zeros = dict.fromkeys(FIGURES, 0)
    make_run(began_at=BEGAN_AT + DAY, **zeros)
    assert known(find_job()) == {**zeros, "quota_total_bytes": None, "quota_free_bytes": None}


@pytest.mark.parametrize("figure", list(Figure))
def test_each_missing_figure_is_unchanged(figure):
    make_run(**KNOWN, available_versions=(iso(BEGAN_AT - DAY),))
    make_run(began_at=BEGAN_AT + DAY, not_told=figure)
    job = find_job()
    assert (job.last_storage_bytes == 1000) == (figure is Figure.STORAGE)
    assert (job.last_version_count == 3) == (figure is Figure.VERSION_COUNT)
    assert (job.last_examined_files == 50) == (figure is Figure.FILES)
    assert (job.last_quota_free_bytes == 4000) == (figure is Figure.QUOTA)
    assert bool(job.last_available_versions) == (figure is Figure.VERSION_LIST)


def test_a_late_older_report_fills_what_the_newest_left_open():
    make_run(began_at=BEGAN_AT - DAY, storage_bytes=1)
    make_run(began_at=BEGAN_AT + DAY, not_told=NO_FIGURES)
    make_run(**KNOWN)
    assert known(find_job()) == KNOWN


def test_a_late_older_report_does_not_replace_the_newest_figures():
    make_run(began_at=BEGAN_AT + DAY, **KNOWN)
    make_run(storage_bytes=1, version_count=1, examined_files=1)
    assert known(find_job()) == KNOWN


class TestDays:
    def test_storage_is_carried_forward_over_days_without_it(self, db):
        make_run(storage_bytes=5)
        for day in (1, 2):
            make_run(began_at=BEGAN_AT + day * DAY, not_told=TEXT)
        assert storage_of_days(db) == [5, 5, 5]

    def test_a_late_report_is_carried_forward_too(self, db):
        make_run(storage_bytes=5)
        for day in (2, 3):
            make_run(began_at=BEGAN_AT + day * DAY, not_told=TEXT)
        make_run(began_at=BEGAN_AT + 4 * DAY, storage_bytes=7)
        make_run(began_at=BEGAN_AT + DAY, storage_bytes=6)
        assert storage_of_days(db) == [5, 6, 6, 6, 7]

    def test_a_late_report_before_one_without_figures_on_the_same_day_counts(self, db):
        make_run(began_at=BEGAN_AT - DAY, storage_bytes=5)
        make_run(began_at=BEGAN_AT + HOUR, not_told=TEXT)
        make_run(storage_bytes=6)
        assert storage_of_days(db) == [5, 6]

    def test_after_a_deletion_days_show_the_earlier_figures(self, db):
        make_run(storage_bytes=5, ended_at=BEGAN_AT)
        gone = make_run(began_at=BEGAN_AT + DAY, storage_bytes=6)
        make_run(began_at=BEGAN_AT + 2 * DAY, not_told=TEXT)
        run_deletion.delete_oldest_runs(gone.job_id, Run.id == gone.id)
        assert storage_of_days(db) == [5, 5]

    def test_first_days_without_figures_are_zero(self, db):
        make_run(not_told=TEXT)
        make_run(began_at=BEGAN_AT + DAY, storage_bytes=6)
        assert storage_of_days(db) == [0, 6]


class TestDeletion:
    def test_deletion_of_the_newest_run_restores_the_previous_figures(self):
        make_run(**KNOWN)
        gone = make_run(began_at=BEGAN_AT + DAY, storage_bytes=1, version_count=1, examined_files=1)
        make_run(began_at=BEGAN_AT + 2 * DAY, not_told=NO_FIGURES)
        run_deletion.delete_oldest_runs(gone.job_id, Run.id == gone.id)
        assert known(find_job()) == KNOWN

    def test_deletion_of_all_runs_with_figures_leaves_none(self):
        gone = make_run(**KNOWN)
        make_run(began_at=BEGAN_AT + DAY, not_told=NO_FIGURES)
        run_deletion.delete_oldest_runs(gone.job_id, Run.id == gone.id)
        assert not any(known(find_job()).values())

    def test_deletion_of_old_runs_keeps_the_newest_figures(self):
        make_run(began_at=BEGAN_AT - 400 * DAY, storage_bytes=1)
        make_run(**KNOWN)
        make_run(began_at=BEGAN_AT + DAY, not_told=NO_FIGURES)
        run_deletion.delete_older_runs("6 months", actor=Actor(), now=BEGAN_AT + 2 * DAY)
        assert known(find_job()) == KNOWN


def test_a_merge_uses_the_newest_known_figure_of_either_job(clock):
    make_run(server_id="old", **KNOWN)
    make_run(server_id="new", began_at=BEGAN_AT - DAY, storage_bytes=1)
    make_run(server_id="new", began_at=BEGAN_AT + DAY, not_told=NO_FIGURES, status="Fatal")
    merge_servers(["old"], "new", actor=Actor(), now=clock())
    job = find_job("new")
    assert (known(job), job.state_status) == (KNOWN, "Fatal")


@pytest.mark.parametrize(
    ("day", "expected"), [(9, (9, 7, 5)), (7, (7, 5)), (6, (7, 6, 5)), (5, (7, 5)), (1, (7, 5, 1))]
)
def test_a_time_is_added_to_a_packed_list_in_order_and_once(day, expected):
    def texts(*days: int) -> tuple[str, ...]:
        return tuple(iso(BEGAN_AT + number * DAY) for number in days)

    assert unpack_times(add_time(pack_times(texts(7, 5)), BEGAN_AT + day * DAY)) == texts(*expected)
    assert unpack_times(add_time(b"", BEGAN_AT + day * DAY)) == texts(day)


class TestVersions:
    """The versions of a job: those of the newest list, and the one that the newest run saved."""

    LISTED = (iso(BEGAN_AT - DAY), iso(BEGAN_AT - 2 * DAY))

    def listed(self, *, began_at=BEGAN_AT, versions=LISTED, **changes: Any) -> Run:
        return make_run(began_at=began_at, available_versions=versions, version_at=began_at, version_count=3, **changes)

    def unlisted(self, began_at, **changes: Any) -> Run:
        usual = {"not_told": Figure.VERSION_LIST, "version_at": began_at}
        return make_run(began_at=began_at, **usual | changes)

    def test_versions_are_the_list_and_that_of_the_run(self):
        self.listed()
        job = find_job()
        assert job.last_versions == (iso(BEGAN_AT), *self.LISTED)
        assert job.last_available_versions == self.LISTED

    def test_an_unsaved_run_adds_no_version(self):
        make_run(available_versions=self.LISTED, version_count=2)
        assert find_job().last_versions == self.LISTED

    def test_an_empty_list_leaves_the_version_of_the_run(self):
        self.listed()
        self.listed(began_at=BEGAN_AT + DAY, versions=())
        assert find_job().last_versions == (iso(BEGAN_AT + DAY),)

    @pytest.mark.parametrize("not_told", [Figure.VERSION_LIST, TEXT])
    def test_without_a_list_a_run_adds_its_version_to_the_known_ones(self, not_told):
        self.listed()
        self.unlisted(BEGAN_AT + DAY, not_told=not_told)
        assert find_job().last_versions == (iso(BEGAN_AT + DAY), iso(BEGAN_AT), *self.LISTED)

    def test_without_a_list_and_a_version_the_known_ones_are_kept(self):
        self.listed()
        self.unlisted(BEGAN_AT + DAY, version_at=None)
        assert find_job().last_versions == (iso(BEGAN_AT), *self.LISTED)

    def test_the_next_list_replaces_added_versions(self):
        self.listed()
        self.unlisted(BEGAN_AT + DAY)
        self.listed(began_at=BEGAN_AT + 2 * DAY, versions=(iso(BEGAN_AT),))
        assert find_job().last_versions == (iso(BEGAN_AT + 2 * DAY), iso(BEGAN_AT))

    def test_an_unsaved_run_keeps_the_versions(self):
        self.listed()
        make_run(began_at=BEGAN_AT + DAY, outcome="aborted", not_told=NO_FIGURES)
        assert find_job().last_versions == (iso(BEGAN_AT), *self.LISTED)

    def test_a_first_run_has_only_its_own_version(self):
        self.unlisted(BEGAN_AT, version_count=1)
        assert find_job().last_versions == (iso(BEGAN_AT),)

    def test_the_deletion_of_a_run_leaves_the_versions_of_the_rest(self):
        self.listed()
        gone = self.unlisted(BEGAN_AT + DAY, version_count=4)
        run_deletion.delete_oldest_runs(gone.job_id, Run.id == gone.id)
        assert find_job().last_versions == (iso(BEGAN_AT), *self.LISTED)

    def test_a_late_run_without_a_list_is_inserted_in_order(self):
        self.listed()
        self.unlisted(BEGAN_AT + 2 * DAY)
        self.unlisted(BEGAN_AT + DAY)
        added = [iso(BEGAN_AT + day * DAY) for day in (2, 1, 0)]
        assert find_job().last_versions == (*added, *self.LISTED)

    def test_a_late_list_does_not_replace_a_newer_one(self):
        self.listed(began_at=BEGAN_AT + DAY)
        self.listed(versions=(iso(BEGAN_AT - 9 * DAY),))
        assert find_job().last_versions == (iso(BEGAN_AT + DAY), *self.LISTED)

    def test_an_unreadable_list_is_counted_until_the_next_one(self):
        self.listed()
        self.unlisted(BEGAN_AT + DAY, unread_versions=3)
        job = find_job()
        assert (job.unread_versions, job.last_versions) == (3, (iso(BEGAN_AT + DAY), iso(BEGAN_AT), *self.LISTED))
        gone = self.unlisted(BEGAN_AT + 2 * DAY)
        run_deletion.delete_oldest_runs(gone.job_id, Run.id == gone.id)
        assert find_job().unread_versions == 3
        self.listed(began_at=BEGAN_AT + 3 * DAY)
        assert find_job().unread_versions == 0

    def test_insight_returns_versions_and_the_number_of_unreadable_ones(self, admin):
        self.listed(unread_versions=2)
        [job] = admin.get("/api/insight").get_json()["servers"][0]["backups"]
        assert (job["versions"], job["unreadVersions"]) == ([iso(BEGAN_AT), *self.LISTED], 2)


FAILED = {"ParsedResult": "Fatal", "ExaminedFiles": 0, "SizeOfExaminedFiles": 0}
NO_STORAGE = {"KnownFileSize": 0, "BackupListCount": 0, "LastBackupDate": "0001-01-01T00:00:00"}


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"BackendStatistics": None}},
        {"storage": NO_STORAGE},
        {"data": FAILED, "storage": NO_STORAGE},
        {"data": {**FAILED, "BackendStatistics": None}},
        {"data": {"Interrupted": True, "ExaminedFiles": 0, "SizeOfExaminedFiles": 0}, "storage": NO_STORAGE},
    ],
    ids=["no statistics", "year 1", "failed", "failed without statistics", "aborted"],
)
def test_the_totals_of_the_api_are_kept_when_a_report_has_none(client, admin, clock, changes):
    client.post("/api/upload", data=report_body())

    def shown() -> tuple[Any, ...]:
        [server] = admin.get("/api/dashboard").get_json()["serversSummary"]
        names = ("storageSize", "lastBackupListCount", "fileCount", "fileSize")
        summary = client.get("/api/summary").get_json()
        return summary["totalStorageUsed"], *(server["backupInfo"][0][name] for name in names)

    before = shown()
    assert before == (2_000_000, 2_000_000, 4, 120, 5_000_000)
    assert client.post("/api/upload", data=report_body(began_at=BEGAN_AT + HOUR / 2, **changes)).status_code == 200
    assert shown() == before
    assert client.get("/api/summary").get_json()["totalBackupsRuns"] == 2


@pytest.mark.parametrize(
    ("total", "free", "expected"), [(100, 0, (100, 0)), (100, -1, (100, None)), (0, 0, (None, None))]
)
def test_insight_distinguishes_a_full_destination_from_an_unknown_one(client, admin, total, free, expected):
    client.post("/api/upload", data=report_body(storage={"TotalQuotaSpace": total, "FreeQuotaSpace": free}))
    [job] = admin.get("/api/insight").get_json()["servers"][0]["backups"]
    assert (job["reportedQuotaBytes"], job["freeBytes"]) == expected


def test_a_full_destination_is_full_now():
    make_run(storage_bytes=10, quota_total_bytes=100, quota_free_bytes=0)
    with writing() as session:
        session.merge(find_job()).growth_bytes = 5.0
    [job] = overview.overview(BEGAN_AT + HOUR, None).jobs
    assert (job.free_bytes, job.full_at) == (0, BEGAN_AT)
