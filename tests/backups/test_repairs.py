"""Repairs after a migration or an import: lists of versions are read again; on both databases."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from factories import BEGAN_AT, find_job, make_run
from old_installations import make_old_database, old_run
from sqlalchemy import select, update

from app.backups import repairs
from app.backups.models import Job, Run, Server
from app.core.db.orm import db as application_db
from app.core.db.orm import writing
from app.core.instants import iso
from app.core.settings import store as settings_store
from app.legacy_import.importing import import_database
from app.reports.parser import Figure
from app.scheduling.tasks import TASKS, VERSION_LISTS

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NOW = BEGAN_AT + 30 * DAY
WRONG = (iso(datetime(2031, 12, 5, 11, tzinfo=UTC)),)


@pytest.fixture
def settings(settings_of_each_database):
    """Every test here runs on SQLite and on PostgreSQL."""
    return settings_of_each_database


@pytest.fixture(autouse=True)
def database(db):
    """A database, open for the test."""


def list_line(at: datetime, *versions: datetime) -> str:
    """Return the log line with the list, as a server without a language writes it: the month first."""
    texts = ", ".join(f"{version:%m/%d/%Y %H:%M:%S}" for version in versions)
    return (
        f"{at:%Y-%m-%d %H:%M:%S} +00 - [Information-Duplicati.Library.Main.Operation.DeleteHandler:RetentionPolicy-"
        f"BackupList]: Backups to consider: {texts}"
    )


def make_runs(count: int = 4, job_name: str = "photos", **changes: Any) -> list[Run]:
    """Store daily runs whose logs list all versions before them; the stored versions are wrong."""
    begins = [BEGAN_AT + day * DAY for day in range(count)]
    return [
        make_run(
            job_name=job_name,
            began_at=at,
            messages=(list_line(at + timedelta(minutes=1), *begins[:place][::-1]),) if place else (),
            available_versions=WRONG,
            version_at=at,
            message_count=bool(place),
            **changes,
        )
        for place, at in enumerate(begins)
    ]


def mark_for_repair() -> None:
    with writing() as session:
        session.execute(update(Job).values(needs_versions=True))


def versions(job_name: str = "photos") -> list[tuple[str, ...]]:
    job = find_job(name=job_name)
    wanted = select(Run).where(Run.job_id == job.id).order_by(Run.began_at).execution_options(populate_existing=True)
    return [run.available_versions for run in application_db.session.scalars(wanted)]


def test_nothing_is_done_without_pending_repairs():
    make_runs()
    assert (repairs.progress(), repairs.reread_versions(NOW)) == (None, 0)
    assert versions()[-1] == WRONG


def test_wrong_lists_are_corrected_and_so_are_the_versions_of_the_job():
    make_runs()
    mark_for_repair()
    assert repairs.reread_versions(NOW) == 1
    listed = [iso(BEGAN_AT + day * DAY) for day in range(4)][::-1]
    assert versions() == [WRONG, *[tuple(listed[-place:]) for place in (1, 2, 3)]]
    job = find_job()
    assert (job.last_versions, job.last_available_versions) == (tuple(listed), tuple(listed[1:]))
    assert (job.needs_versions, repairs.progress()) == (False, None)


def test_an_unreadable_list_is_unknown_and_counted():
    make_run(messages=(list_line(BEGAN_AT, datetime(2031, 4, 3, 11, tzinfo=UTC)),), available_versions=WRONG)
    mark_for_repair()
    repairs.reread_versions(NOW)
    run = application_db.session.scalars(select(Run).execution_options(populate_existing=True)).one()
    assert (run.available_versions, run.unread_versions, run.not_told) == ((), 1, Figure.VERSION_LIST)
    assert find_job().last_available_versions == ()


def test_figures_and_schedule_of_a_job_are_unchanged():
    make_runs(storage_bytes=7, examined_files=3)
    mark_for_repair()
    job = find_job()
    names = ("run_count", "last_storage_bytes", "last_examined_files", "next_expected_at", "recent_statuses")
    before = [getattr(job, name) for name in names]
    repairs.reread_versions(NOW)
    assert [getattr(find_job(), name) for name in names] == before


def test_offsets_of_the_server_are_learned_from_the_logs(db):
    make_runs()
    mark_for_repair()
    repairs.reread_versions(NOW)
    db.session.commit()
    [period] = db.session.scalars(select(Server.seen_offsets)).one()
    assert period[2] == 0


HEAD = "2031-05-04 11:00:04 +00 - [Information-Duplicati.Library.Main.BasicResults-BackendEvent]: Backend event: "
BLOCK = f"{HEAD}Put - Completed: duplicati-b01.dblock.zip.aes (48 MB)"
OWN_LIST = f"{HEAD}Put - Completed: duplicati-20310504T110000Z.dlist.zip.aes (1 KB)"


@pytest.mark.parametrize(
    ("lines", "before", "after"),
    [((BLOCK,), "stopped", "aborted"), ((BLOCK, OWN_LIST), "aborted", "stopped")],
)
def test_the_log_decides_if_a_stopped_run_saved_something(db, lines, before, after):
    version_at = BEGAN_AT if before == "stopped" else None
    make_run(
        outcome=before,
        was_interrupted=True,
        status="Error",
        messages=lines,
        message_count=len(lines),
        uploaded_bytes=5,
        version_at=version_at,
        version_count=1,
        not_told=Figure.VERSION_LIST,
    )
    mark_for_repair()
    repairs.reread_versions(NOW)
    db.session.commit()
    run = db.session.scalars(select(Run).execution_options(populate_existing=True)).one()
    job = find_job()
    assert (run.outcome, job.last_outcome, job.state_outcome) == (after, after, after if after == "stopped" else "")
    assert run.version_at == (BEGAN_AT if after == "stopped" else None)
    assert job.last_versions == ((iso(BEGAN_AT),) if after == "stopped" else ())


def test_the_version_of_a_run_is_that_of_the_file_list_it_uploaded(db):
    saved_at = BEGAN_AT.replace(microsecond=0) + timedelta(seconds=5)
    line = f"{HEAD}Put - Completed: duplicati-{saved_at:%Y%m%dT%H%M%SZ}.dlist.zip.aes (1 KB)"
    make_run(messages=(line,), message_count=1, version_at=BEGAN_AT.replace(microsecond=0))
    mark_for_repair()
    repairs.reread_versions(NOW)
    db.session.commit()
    [run] = db.session.scalars(select(Run).execution_options(populate_existing=True)).all()
    assert run.version_at == saved_at
    assert find_job().last_versions == (iso(saved_at),)


def test_aborted_runs_are_found_in_the_logs(db):
    earlier = BEGAN_AT - DAY
    line = f"{HEAD}Put - Completed: duplicati-{earlier:%Y%m%dT%H%M%SZ}.dlist.zip.aes (1 KB)"
    make_run(messages=("PreviousBackupFilelistUpload: Uploading filelist", line))
    mark_for_repair()
    repairs.reread_versions(NOW)
    assert find_job().last_broken_off_at == earlier


class TestProgress:
    def test_progress_counts_runs_of_finished_jobs(self):
        for number in range(3):
            make_runs(number + 1, job_name=f"job {number}")
        mark_for_repair()
        state = repairs.progress()
        assert (state.done_runs, state.total_runs, state.job_count, state.percent) == (0, 6, 3, 0)
        assert repairs.reread_versions(NOW, longest_s=0) <= 1
        repairs.reread_versions(NOW)
        assert repairs.progress() is None
        assert settings_store.get(repairs.TOTAL) is None

    def test_repair_continues_where_it_ended(self, monkeypatch):
        for number in range(3):
            make_runs(number + 1, job_name=f"job {number}")
        mark_for_repair()
        moments = iter([0.0, 1.0, 999.0, 0.0, 1.0, 2.0, 3.0])
        monkeypatch.setattr(repairs, "monotonic", lambda: next(moments))
        assert repairs.reread_versions(NOW, longest_s=10) == 1
        state = repairs.progress()
        assert (state.done_runs, state.total_runs, state.job_count, state.percent) == (1, 6, 2, 16)
        assert repairs.reread_versions(NOW, longest_s=10) == 2
        assert repairs.progress() is None

    def test_new_runs_do_not_lower_the_progress(self):
        make_runs(2)
        mark_for_repair()
        settings_store.put(repairs.TOTAL, 2, now=NOW)
        make_run(began_at=BEGAN_AT + 20 * DAY)
        state = repairs.progress()
        assert (state.done_runs, state.total_runs) == (0, 3)

    def test_the_task_reports_its_progress(self):
        words, _ = TASKS[VERSION_LISTS].work(NOW)
        assert str(words) == "Nothing to read"
        make_runs()
        mark_for_repair()
        words, _ = TASKS[VERSION_LISTS].work(NOW)
        assert str(words) == "Read the version lists of 1 jobs again"
        assert TASKS[VERSION_LISTS].starts_soon


def test_runs_beyond_one_batch_are_all_read(monkeypatch):
    monkeypatch.setattr(repairs, "RUNS_AT_ONCE", 2)
    make_runs(7)
    mark_for_repair()
    repairs.reread_versions(NOW)
    assert [len(found) for found in versions()[1:]] == [1, 2, 3, 4, 5, 6]


def test_jobs_of_an_import_are_read_again(tmp_path):
    line = list_line(BEGAN_AT + DAY, BEGAN_AT)
    runs = [
        old_run(date=iso(BEGAN_AT), created_at=iso(BEGAN_AT), available_backups="[]"),
        old_run(
            date=iso(BEGAN_AT + DAY),
            created_at=iso(BEGAN_AT + DAY),
            available_backups='["2031-12-05T11:00:00.000Z"]',
            messages_array=f'["{line}"]',
        ),
    ]
    import_database(make_old_database(tmp_path / "old.db", runs=runs), now=NOW)
    assert find_job().needs_versions
    repairs.reread_versions(NOW)
    assert versions()[-1] == (iso(BEGAN_AT),)
    assert not find_job().needs_versions


class TestFinishing:
    def test_only_marked_jobs_are_recalculated(self):
        make_run(storage_bytes=5)
        make_run(job_name="music", storage_bytes=6)
        with writing() as session:
            session.execute(update(Job).values(last_storage_bytes=0))
            session.execute(update(Job).where(Job.name == "music").values(needs_figures=True))
        assert repairs.finish_migration(NOW) == 1
        assert (find_job().last_storage_bytes, find_job(name="music").last_storage_bytes) == (0, 6)
        assert repairs.finish_migration(NOW) == 0
