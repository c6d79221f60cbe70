"""Importing an old installation over HTTP: in parts, in the background, and found at the first start."""

import io
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from old_installations import BCRYPT, make_old_database, old_run
from sqlalchemy import func, select

from app.audit.log import AuditEntry
from app.backups.models import Run, Server
from app.database import secrets
from app.legacy_import import importing

IMPORT = "/api/database/import"
USERS = [{"id": "u1", "username": "kim", "password_hash": BCRYPT, "is_admin": 1, "created_at": "2030-01-01 00:00:00"}]


@pytest.fixture
def old(tmp_path) -> Path:
    dates = [f"2031-04-{day:02}T02:00:00.000Z" for day in range(1, 29)]
    return make_old_database(tmp_path / "backups.db", runs=[old_run(date=date) for date in dates], users=USERS)


@pytest.fixture
def import_folder(settings) -> Path:
    return settings.data_dir / "import"


def send_file(admin, content: bytes, piece_bytes: int = 10_000) -> None:
    for offset in range(0, len(content), piece_bytes):
        query = f"offset={offset}&total={len(content)}"
        piece = content[offset : offset + piece_bytes]
        answer = admin.send("PUT", f"{IMPORT}/file?{query}", data=piece, content_type="application/octet-stream")
        assert answer.get_json()["receivedBytes"] == offset + len(piece)


def run_import(admin, **body):
    """Start it and wait until it ends; return its result."""
    assert admin.send("POST", IMPORT, json=body).status_code == 202
    for thread in threading.enumerate():
        if thread.name == "import":
            thread.join(30)
    return admin.get(IMPORT).get_json()


def run_count(db) -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(Run))


def test_a_file_uploaded_in_parts_is_imported_and_reported(admin, old, db, import_folder):
    send_file(admin, old.read_bytes())
    body = run_import(admin, fileName="backups-1.db")
    assert (body["phase"], body["doneRuns"], body["totalRuns"], body["error"]) == ("done", 28, 28, "")
    assert body["report"]["counts"]["runs"] == {"found": 28, "taken": 28, "known": 0, "left": 0}
    assert body["report"]["schemaVersion"] == "4.0"
    assert run_count(db) == 28
    assert sorted(path.name for path in import_folder.iterdir()) == ["lock", "state.json"]
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "database_import")).one()
    assert entry.username == "admin"


def test_a_repeated_import_changes_nothing(admin, old, db):
    for expected in (28, 0):
        send_file(admin, old.read_bytes())
        body = run_import(admin)
        assert body["report"]["counts"]["runs"]["taken"] == expected
    assert run_count(db) == 28


def test_the_uploaded_key_decrypts_the_old_passwords(admin, db, tmp_path, settings):
    key = settings.data_dir / secrets.KEY_FILE
    closed = secrets.encrypt("geheim")
    servers = [{"id": "machine-1", "name": "nas", "server_url": "http://192.0.2.1:8200", "server_password": closed}]
    old = make_old_database(tmp_path / "old.db", servers=servers, runs=[old_run()])
    send_file(admin, old.read_bytes())
    sent = admin.send("PUT", f"{IMPORT}/key", data=key.read_bytes(), content_type="application/octet-stream")
    assert sent.get_json()["hasKey"] is True
    body = run_import(admin)
    assert body["report"]["remarks"] == {}
    db.session.rollback()
    assert secrets.decrypt(db.session.get_one(Server, "machine-1").encrypted_password) == "geheim"


def test_an_invalid_key_is_rejected(admin):
    answer = admin.send("PUT", f"{IMPORT}/key", data=b"short", content_type="application/octet-stream")
    assert (answer.status_code, "32 bytes" in answer.get_json()["error"]) == (400, True)


def test_an_unexpected_part_is_answered_with_the_next_offset(admin, old):
    content = old.read_bytes()
    first = admin.send("PUT", f"{IMPORT}/file?offset=0&total={len(content)}", data=content[:5000])
    assert first.get_json() == {"receivedBytes": 5000, "hasKey": False}
    answer = admin.send("PUT", f"{IMPORT}/file?offset=9000&total={len(content)}", data=content[9000:])
    assert (answer.status_code, answer.get_json()["receivedBytes"]) == (409, 5000)


def test_a_file_that_is_no_database_is_rejected_with_its_first_part(admin, import_folder):
    answer = admin.send("PUT", f"{IMPORT}/file?offset=0&total=40", data=b"x" * 40)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "The file is not a SQLite database")
    assert not (import_folder / "backups.db").exists()


@pytest.mark.parametrize(("total", "status"), [(0, 400), (10, 400), (5 * 1024**3, 413), (2**70, 413)])
def test_a_file_of_an_invalid_size_is_rejected(admin, total, status):
    assert admin.send("PUT", f"{IMPORT}/file?offset=0&total={total}", data=b"x").status_code == status


def test_a_part_beyond_the_end_of_the_file_is_rejected(admin, old):
    assert admin.send("PUT", f"{IMPORT}/file?offset=0&total=100", data=old.read_bytes()).status_code == 400


def test_a_file_of_another_program_fails_with_the_reason_and_is_deleted(admin, tmp_path, db, import_folder):
    other = make_old_database(tmp_path / "other.db", version="99.0")
    send_file(admin, other.read_bytes())
    body = run_import(admin)
    assert (body["phase"], body["canGoOn"]) == ("failed", False)
    assert "99.0" in body["error"]
    assert not (import_folder / "backups.db").exists()
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "database_import")).one()
    assert entry.status == "error"


def test_an_interrupted_import_continues_at_its_offset(admin, old, db, monkeypatch):
    def fail_to_complete(*_arguments, **_options):
        raise RuntimeError("the power is gone")

    send_file(admin, old.read_bytes())
    with monkeypatch.context() as patched:
        patched.setattr(importing, "complete_jobs", fail_to_complete)
        body = run_import(admin)
    assert (body["phase"], body["canGoOn"], run_count(db)) == ("failed", True, 28)
    assert "the power" not in body["error"]
    body = run_import(admin)
    assert (body["phase"], body["report"]["counts"]["runs"]["known"]) == ("done", 28)


def test_an_import_of_a_dead_process_is_reported_as_interrupted(app, admin, old, import_folder):
    send_file(admin, old.read_bytes())
    with app.app_context():
        importing._write(importing.ImportState(importing.RUNNING, importing.UPLOAD, "backups.db"))
    body = admin.get(IMPORT).get_json()
    assert (body["phase"], body["canGoOn"]) == ("interrupted", True)
    assert run_import(admin)["phase"] == "done"


def test_a_second_import_and_another_file_wait_for_the_first(app, admin, old):
    send_file(admin, old.read_bytes())
    with app.app_context():
        lock = importing._take_lock()
    try:
        for answer in (
            admin.send("POST", IMPORT),
            admin.send("DELETE", IMPORT),
            admin.send("PUT", f"{IMPORT}/file?offset=0&total=100", data=b"x"),
            admin.send("POST", "/api/database/restore", data={"database": (io.BytesIO(b"x"), "mine.db")}),
        ):
            assert (answer.status_code, answer.get_json()["error"]) == (409, "An import is running")
    finally:
        importing.os.close(lock)


def test_nothing_to_import_is_not_found(admin):
    assert admin.send("POST", IMPORT).status_code == 404
    assert admin.send("POST", IMPORT, json={"source": "folder"}).status_code == 404


def test_a_received_file_can_be_deleted(admin, old, import_folder):
    send_file(admin, old.read_bytes())
    assert admin.send("DELETE", IMPORT).status_code == 200
    assert [path.name for path in import_folder.iterdir()] == ["lock"]


class TestOldFolder:
    @pytest.fixture(params=["data folder", "IMPORT_FROM"])
    def settings(self, request, settings, tmp_path):
        if request.param == "IMPORT_FROM":
            (tmp_path / "elsewhere").mkdir()
            return replace(settings, import_from=tmp_path / "elsewhere")
        settings.data_dir.mkdir()
        return settings

    @pytest.fixture(autouse=True)
    def _lies_there(self, settings, old):
        place = settings.import_from or settings.data_dir
        (place / "backups.db").write_bytes(old.read_bytes())
        (place / "backups.db").chmod(0o400)

    def test_it_is_found_offered_and_imported_without_being_changed(self, admin, db, old, settings):
        found = admin.get(IMPORT).get_json()["oldInstallation"]
        assert (found["size"], found["isOffered"]) == (old.stat().st_size, True)
        body = run_import(admin, source="folder")
        assert (body["phase"], run_count(db)) == ("done", 28)
        assert body["oldInstallation"]["isOffered"] is False
        kept = (settings.import_from or settings.data_dir) / "backups.db"
        assert kept.read_bytes() == old.read_bytes()

    def test_it_is_not_offered_again_after_dismissal(self, admin):
        admin.send("POST", f"{IMPORT}/decline")
        assert admin.get(IMPORT).get_json()["oldInstallation"]["isOffered"] is False


def test_parts_are_written_as_they_arrive_and_never_held_in_memory(app, old, monkeypatch):
    sizes = []

    class Stream:
        def __init__(self, content):
            self.rest = content

        def read(self, size):
            sizes.append(size)
            piece, self.rest = self.rest[:size], self.rest[size:]
            return piece

    monkeypatch.setattr(importing, "CHUNK_BYTES", 4096)
    with app.app_context():
        importing.receive_piece(Stream(old.read_bytes()), offset=0, total=old.stat().st_size)
        assert importing.database_path().read_bytes() == old.read_bytes()
        assert importing.database_path().stat().st_mode & 0o777 == 0o600
    assert set(sizes) == {4096}
