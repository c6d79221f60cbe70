"""The tabs of database maintenance and of the retention of the audit log, and the page of the import."""

import html
import io
import re
import shlex
import sqlite3
import subprocess
import threading
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from databases import PROGRAMS
from factories import BEGAN_AT, find_job, make_run
from old_installations import make_old_database, old_run
from sqlalchemy import func, select, text

from app.audit.log import record_entry
from app.backups.models import Run, Server
from app.database import local_backups, retention
from app.database.retention import Rules

pytestmark = pytest.mark.slow

TAB, AUDIT_TAB = "/settings/?tab=database-maintenance", "/settings/?tab=audit-retention"
DAY = timedelta(days=1)
RULES = {"run_days": "0", "run_count": "0", "delivery_days": "90", "log_days": "0"}


@pytest.fixture
def runs(db):
    for days in range(5):
        make_run(began_at=BEGAN_AT - days * DAY)
    make_run(began_at=BEGAN_AT - 400 * DAY)


@pytest.fixture
def post(admin):
    """Post a form below `/settings` and return the page that follows."""

    def post(place: str, **entries):
        answer = admin.send("POST", f"/settings/{place}", data=entries)
        return admin.get(answer.location) if answer.status_code == 303 else answer

    return post


def run_count(db) -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(Run))


def page_message(page) -> str:
    """Return the message at the top of the page."""
    return " ".join(re.findall(r'class="notice notice-\w+" role="\w+">.*?<span>(.*?)</span>', page.text, re.DOTALL))


@pytest.mark.parametrize("address", [TAB, AUDIT_TAB, "/settings/import", "/settings/database/clean-up"])
def test_only_administrators_have_access(app, address):
    assert app.test_client().get(address).status_code == 303


def test_a_backup_is_created_shown_and_deleted(post, admin, runs):
    page = post("database/backups")
    (copy,) = local_backups.list_backups()
    assert f"{copy.name} was created and verified" in page_message(page)
    assert f"/settings/database/backups/{copy.name}/restore" in page.text
    assert admin.get(f"/settings/database/backups/{copy.name}", buffered=True).data.startswith(b"SQLite format 3")
    assert ". This cannot be undone." in admin.get(f"/settings/database/backups/{copy.name}/delete").text
    assert "No backups yet" in post(f"database/backups/{copy.name}/delete").text


def test_restoring_a_backup_is_reported_and_ends_the_session(post, admin, db, runs, clock):
    copy = local_backups.back_up(now=clock())
    make_run(began_at=BEGAN_AT + DAY)
    db.session.rollback()
    page = post(f"database/backups/{copy.name}/restore")
    assert "The backup was restored. The previous data was saved as" in page.text
    assert admin.get(TAB).status_code == 303
    assert run_count(db) == 6


def test_a_damaged_backup_changes_nothing(post, runs, clock, settings):
    copy = local_backups.back_up(now=clock())
    (settings.data_dir / "backups" / copy.name).write_bytes(b"gone bad")
    page = post(f"database/backups/{copy.name}/restore")
    assert page_message(page) == "Nothing was changed. The file is not an intact SQLite database"


def test_a_valid_file_is_restored_only_after_confirmation(post, admin, db, runs):
    content = admin.get("/api/database/backup", buffered=True).data
    make_run(began_at=BEGAN_AT + DAY)
    db.session.rollback()

    def send(body: bytes, **entries):
        return post("database/restore", database=(io.BytesIO(body), "mine.db"), **entries)

    assert "Select a file and confirm that all current data will be replaced." in page_message(send(content))
    assert "not an intact SQLite database" in page_message(send(b"x" * 100, is_understood="1"))
    assert run_count(db) == 7
    assert "The backup was restored. The previous data was saved as" in send(content, is_understood="1").text
    assert run_count(db) == 6


def test_the_schedule_is_saved_and_an_invalid_one_rejected_at_its_field(post, db):
    assert "Saved." in page_message(post("database/schedule", every="weekly", weekday="2", at="21:15", keep="4"))
    chosen = local_backups.schedule()
    assert (chosen.every, chosen.weekday, chosen.at, chosen.keep) == ("weekly", 2, "21:15", 4)
    rejected = post("database/schedule", every="weekly", weekday="2", at="late", keep="4")
    assert rejected.status_code == 400
    assert 'id="at-error"' in rejected.text
    db.session.rollback()
    assert local_backups.schedule() == chosen


def test_deletions_are_previewed_before_saving(post, admin, db, runs):
    shown = admin.send("POST", "/settings/database/retention", data=RULES | {"run_count": "2", "then": "show"})
    assert "4 runs of 1 job" in shown.text
    assert retention.rules() == Rules()
    assert "Saved" in page_message(post("database/retention", **RULES | {"run_count": "2"}))
    assert "4 runs of 1 job" in admin.get("/settings/database/clean-up").text
    assert "Deleted: 4 runs" in page_message(post("database/clean-up"))
    assert run_count(db) == 2


def test_out_of_range_rules_are_rejected_at_their_field(post, db):
    rejected = post("database/retention", **RULES | {"run_days": "-1", "delivery_days": "soon"})
    assert (rejected.status_code, retention.rules()) == (400, Rules())
    assert 'id="run_days-error"' in rejected.text
    assert 'id="delivery_days-error"' in rejected.text


def test_old_runs_are_deleted_after_confirmation(post, admin, db, runs):
    assert "1 run ended before 04/05/2030" in admin.get("/settings/database/period?period=1+year").text
    assert run_count(db) == 6
    assert "1 run was deleted" in page_message(post("database/period?period=1+year"))
    assert run_count(db) == 5
    assert admin.get("/settings/database/period?period=5+days").status_code == 404


def test_everything_is_deleted_only_with_the_confirmation_word(post, admin, db, runs):
    assert "<code>delete</code>" in admin.get("/settings/database/period?period=Delete+all+data").text
    assert "Nothing was deleted" in post("database/everything", word="yes").text
    assert run_count(db) == 6
    assert "6 runs and 1 servers were deleted" in page_message(post("database/everything", word="Delete "))
    assert run_count(db) == 0


def test_data_of_a_job_and_a_server_are_deleted_after_confirmation(post, admin, db, runs):
    asked = admin.get("/settings/database/job", query_string={"job": "machine-1\tphotos"}).text
    assert "All 6 runs of photos on nas" in asked
    assert "6 runs of photos on nas were deleted" in page_message(post("database/job/machine-1?job=photos"))
    assert find_job().run_count == 0
    assert (
        "The server will be deleted with its jobs, their settings and"
        in admin.get("/settings/database/server?server=machine-1").text
    )
    post("database/server/machine-1")
    db.session.rollback()
    assert db.session.get(Server, "machine-1") is None
    assert admin.get("/settings/database/server?server=machine-1").status_code == 404


def test_the_check_is_reported_in_place_and_above_the_page(post, admin):
    headers = admin.csrf_headers() | {"HX-Request": "true"}
    assert "Integrity check passed." in admin.post("/settings/database/check", headers=headers).text
    assert page_message(post("database/check")) == "Integrity check passed."
    assert "The database was compacted" in page_message(post("database/compact"))


def test_the_audit_log_is_shortened_as_configured(post, admin, db, clock):
    record_entry("login", "auth", now=clock() - 50 * DAY)
    assert "1 entry is older than 40 days" in post("audit-retention", days="40", then="show").text
    assert retention.audit_retention_days() == 90
    assert "Saved" in page_message(post("audit-retention", days="40"))
    assert "1 entry is older than the saved retention period" in admin.get(AUDIT_TAB).text
    assert "1 entry was deleted" in page_message(post("audit-retention/clean-up"))
    rejected = post("audit-retention", days="29")
    assert (rejected.status_code, 'id="days-error"' in rejected.text) == (400, True)


class TestImport:
    @pytest.fixture
    def old(self, tmp_path):
        return make_old_database(tmp_path / "backups.db", runs=[old_run()])

    @staticmethod
    def wait() -> None:
        for thread in threading.enumerate():
            if thread.name == "import":
                thread.join(30)

    def test_a_form_without_script_imports_the_sent_file(self, post, admin, db, old):
        post("import", database=(io.BytesIO(old.read_bytes()), "old.db"))
        self.wait()
        page = admin.get("/settings/import").text
        assert "Imported: backups.db" in page
        assert run_count(db) == 1
        post("import/discard")
        assert "Imported:" not in admin.get("/settings/import").text

    def test_a_file_that_is_no_database_is_rejected_with_the_reason(self, post):
        page = post("import", database=(io.BytesIO(b"hello" * 10), "old.db"))
        assert "Nothing was imported. The file is not a SQLite database" in page_message(page)

    def test_the_old_folder_is_offered_to_administrators_until_it_is_dismissed(self, app, admin, post, settings, old):
        (settings.data_dir / "backups.db").write_bytes(old.read_bytes())
        assert "An older installation was found." in admin.get("/").text
        post("import/decline")
        assert "An older installation was found." not in admin.get("/").text
        assert str(settings.data_dir / "backups.db") in admin.get(TAB).text

    def test_the_old_folder_is_imported_with_one_button(self, post, admin, db, settings, old):
        (settings.data_dir / "backups.db").write_bytes(old.read_bytes())
        post("import", source="folder")
        self.wait()
        assert run_count(db) == 1
        assert "An older installation was found." not in admin.get("/").text


class TestOnPostgres:
    @pytest.fixture
    def settings(self, settings, postgres_url):
        return replace(settings, database_url=postgres_url)

    def test_the_tab_shows_what_applies_to_postgresql(self, admin, runs):
        page = admin.get(TAB).text
        assert "Restore from file" not in page
        assert "Back up now" not in page
        assert "Retention" in page

    def test_the_shown_backup_command_works(self, admin, tmp_path):
        (line,) = re.findall(r"pg_dump .*", html.unescape(admin.get(TAB).text))
        program, *rest = shlex.split(line)
        command = [PROGRAMS[-1].with_name(program), *rest]
        assert subprocess.run(command, cwd=tmp_path).returncode == 0
        assert (tmp_path / "duplistatus.dump").stat().st_size > 1000


def test_tables_of_plugins_that_would_be_lost_are_named_before(post, admin, db, runs, clock):
    db.session.execute(text("CREATE TABLE notes (id INTEGER PRIMARY KEY, server_id TEXT REFERENCES servers (id))"))
    db.session.commit()
    copy = local_backups.back_up(now=clock())
    path = local_backups.path_of(copy.name)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("INSERT INTO notes VALUES (1, 'nobody')")
    assert "notes" in admin.get(TAB).text
    page = post(f"database/backups/{copy.name}/restore")
    assert "These tables belong to plugins and will not be restored: notes." in page.text
    action = html.unescape(re.search(r'action="(/settings/database/backups/[^"]+)"', page.text)[1])
    page = post(action.removeprefix("/settings/"))
    assert "These tables belong to plugins and were not restored: notes." in page.text
