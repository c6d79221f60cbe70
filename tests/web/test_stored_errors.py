"""Pages translate stored errors: from code and parameters, not from the stored English sentence."""

import socket
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from factories import make_run

from app import runtime
from app.audit.log import Actor
from app.backups import duplicati_versions
from app.backups.models import Server
from app.collector import batches
from app.core.errors import Refused, dump_refusal, load_refusal
from app.core.settings import store as settings_store
from app.database import external_monitor, secrets
from app.legacy_import import importing
from app.legacy_import.importing import ImportState
from app.legacy_import.source import ImportReport
from app.plugin.testing.http_servers import Answer, recording_server
from app.registry import NOTIFICATION_CHANNELS, Broken
from app.reports.rejected import RejectedReport
from app.scheduling import control, tasks
from app.web.errors import refusal_text, stored_text

NESTED = Refused("report_value_invalid", path="Data.BeginTime", expected=Refused("value_too_long", most=200))


@pytest.fixture
def german(admin):
    """Opens a page as an administrator who reads German."""
    return lambda path: admin.get(path, headers={"Accept-Language": "de"}).text


def test_stored_error_has_the_same_sentence_again():
    again = load_refusal(dump_refusal(NESTED))
    assert (again.code, again.message) == ("report_value_invalid", "Data.BeginTime is longer than 200 characters")


@pytest.mark.parametrize(
    "stored",
    [
        None,
        "text",
        {},
        {"code": "no_such_code", "params": {}},
        {"code": "report_value_invalid", "params": {"path": "Data"}},
        {"code": "report_value_invalid", "params": []},
        {"code": ["report_unreadable"], "params": {}},
    ],
    ids=repr,
)
def test_error_that_cannot_be_read_is_shown_as_stored(app, stored):
    with app.test_request_context():
        assert stored_text(stored, "as stored") == "as stored"


def test_reason_of_a_rejected_report_is_in_the_language_of_the_reader(client, german, db):
    client.post("/api/upload", json={"Data": {"MainOperation": "Backup"}})
    assert "Der Abschnitt Extra fehlt: Senden Sie den ganzen JSON-Bericht" in german("/settings/?tab=uploads")
    assert "Der Abschnitt Extra fehlt: Senden Sie den ganzen JSON-Bericht" in german("/settings/uploads/1")
    assert db.session.get(RejectedReport, 1).reason == "The section Extra is missing: send the whole JSON report"


def test_reason_with_parameters_is_translated_with_them(client, german):
    run = {"MainOperation": "Backup", "BeginTime": "x", "EndTime": "x", "Duration": "x", "ParsedResult": "Success"}
    extra = {"machine-id": "a", "machine-name": "a", "backup-name": "b", "backup-id": "c"}
    client.post("/api/upload", json={"Data": run, "Extra": extra})
    page = german("/settings/uploads/1")
    assert "Das Feld Data.BeginTime des Berichts ist ungültig: erwartet wird ein Datum nach ISO 8601" in page


def test_reason_of_an_older_row_is_shown_as_it_is(german, db, clock):
    values = {"ip_address": "", "status_code": 400, "size_bytes": 0, "body": b"x\x9c\x03\x00\x00\x00\x00\x01"}
    db.session.add(RejectedReport(received_at=clock(), reason="An older sentence", **values))
    db.session.commit()
    assert "An older sentence" in german("/settings/uploads/1")


@pytest.fixture
def silent_server(db, clock):
    """A server whose Duplicati accepts no connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    values = {"url": f"http://127.0.0.1:{port}", "encrypted_password": secrets.encrypt("secret")}
    db.session.add(Server(id="nas", name="nas", collect_interval="1h", created_at=clock(), **values))
    db.session.commit()


@pytest.mark.usefixtures("silent_server")
def test_failed_collection_is_in_the_language_of_the_reader(german, db, clock):
    assert batches.collect_due(clock()).failure_count == 1
    assert "Verbindung abgelehnt" in german("/settings/?tab=server")
    page = german("/settings/servers/nas")
    assert "Keine Verbindung zu Duplicati unter 127.0.0.1" in page
    assert "Verbindung abgelehnt" in page
    assert db.session.get(Server, "nas").collect_error.startswith("No connection to Duplicati at 127.0.0.1")


@pytest.mark.usefixtures("silent_server")
def test_error_of_an_earlier_version_is_shown_as_it_is(german, db):
    db.session.get(Server, "nas").collect_error = "An older sentence"
    db.session.commit()
    assert "An older sentence" in german("/settings/servers/nas")


def test_nested_problem_of_a_job_is_translated(app):
    reason = Refused("request_answered", what=Refused("request_of_log"), phrase="Internal Server Error")
    with app.test_request_context(headers={"Accept-Language": "de"}):
        text = refusal_text(Refused("problem_of_job", job="Photos", reason=reason))
    assert text == "Photos: Der Server hat die Anfrage (Protokoll des Auftrags) abgelehnt: Internal Server Error"


@pytest.mark.usefixtures("silent_server")
def test_failed_connection_test_is_in_the_language_of_the_reader(admin):
    headers = {"Accept-Language": "de", "HX-Request": "true", **admin.csrf_headers()}
    page = admin.post("/settings/servers/nas/try", headers=headers).text
    assert "Keine Verbindung zum Server: Prüfen Sie Host und Port" in page


@pytest.fixture
def failing_service():
    """A server that answers everything with an error."""
    with recording_server() as server:
        server.standard = Answer(500)
        yield server


def test_failed_ping_is_in_the_language_of_the_reader(german, failing_service, db, clock):
    external_monitor.save({"is_enabled": True, "url": failing_service.url}, actor=Actor(), now=clock())
    assert external_monitor.ping_now(clock()).error == "the server returned status 500"
    assert "der Server hat mit Status 500 geantwortet" in german("/settings/?tab=monitoring")


def test_problem_at_the_last_ping_is_in_words(german, db, clock):
    sent_at = clock().isoformat()
    settings_store.put("external_monitor", {"is_enabled": True, "url": "https://example.org/"}, now=clock())
    settings_store.put("external_monitor_ping", {"sent_at": sent_at, "error": "", "reason": "disk_full"}, now=clock())
    page = german("/settings/?tab=monitoring")
    assert "disk_full" not in page
    assert "Der Datenträger ist voll" in page


def test_ping_of_an_earlier_version_is_shown_as_it_is(german, db, clock):
    settings_store.put("external_monitor", {"is_enabled": True, "url": "https://example.org/"}, now=clock())
    stored = {"sent_at": clock().isoformat(), "error": "An older sentence", "reason": ""}
    settings_store.put("external_monitor_ping", stored, now=clock())
    assert "An older sentence" in german("/settings/?tab=monitoring")


def test_failed_version_check_is_in_the_language_of_the_reader(german, failing_service, db, clock):
    changes = {"is_enabled": True, "url": f"{failing_service.url}/{{channel}}"}
    duplicati_versions.configure(changes, actor=Actor(), now=clock())
    assert duplicati_versions.check_now(clock()).error.startswith("stable: the server returned status 500; beta: ")
    assert "stable: der Server hat mit Status 500 geantwortet; beta: " in german("/settings/?tab=about")


def test_damage_is_in_the_language_of_the_reader(admin, settings, db):
    make_run()
    db.session.remove()
    with closing(sqlite3.connect(settings.data_dir / "duplistatus.db")) as connection:
        connection.execute("DELETE FROM servers")  # without foreign keys, as a strange program would
        connection.commit()
    headers = {"Accept-Language": "de", "HX-Request": "true", **admin.csrf_headers()}
    page = admin.post("/settings/database/check", headers=headers).text
    assert "1 Zeilen der Tabelle jobs verweisen auf Zeilen, die es nicht gibt." in page


def test_failed_import_is_in_the_language_of_the_reader(app, german):
    with app.app_context():
        importing._write(ImportState(importing.RUNNING, importing.UPLOAD, "old.db"))
        importing._fail(Refused("import_stopped", kind="OSError"), Actor())
    page = german("/settings/import")
    assert "Der Import wurde unerwartet abgebrochen (OSError)" in page


class TestPlugins:
    """A plugin that was left out."""

    @pytest.fixture
    def registry(self, installed):
        problem = Refused("plugin_lacks_attributes", plugin="DrumsChannel", names="label")
        broken = Broken(NOTIFICATION_CHANNELS, "drums", "duplistatus-drums", problem.message, problem)
        return replace(installed, broken=(broken,))

    @pytest.mark.parametrize("tab", ["about", "channels"])
    def test_reason_is_in_the_language_of_the_reader(self, german, tab):
        assert "In DrumsChannel fehlt label" in german(f"/settings/?tab={tab}")


class TestTasks:
    """The page of scheduled tasks, with a schedule that runs none on its own."""

    @pytest.fixture(autouse=True)
    def schedule(self, app, monkeypatch):
        found = tasks.Schedule(app)
        monkeypatch.setattr(tasks.Schedule, "is_running", True)
        with app.app_context():
            monkeypatch.setattr(runtime.part(control.Jobs), "schedule", found)
        return found

    def run(self, admin, name: str) -> str:
        headers = {"Accept-Language": "de", **admin.csrf_headers()}
        return admin.post(f"/settings/tasks/{name}/run", headers=headers, follow_redirects=True).text

    def test_result_is_in_the_language_of_the_reader(self, admin):
        assert "Externer Monitor: Kein Ping war fällig" in self.run(admin, tasks.MONITOR_PING)

    def test_failure_is_in_the_language_of_the_reader(self, admin, db, monkeypatch):
        def fail(_now):
            raise Refused("no_room_for_compaction", megabytes=12)

        monkeypatch.setitem(tasks.TASKS, tasks.COMPACTION, replace(tasks.TASKS[tasks.COMPACTION], work=fail))
        assert self.run(admin, tasks.COMPACTION).count("Nicht genug freier Speicherplatz: ") == 2
        stored = db.session.get(control.Task, tasks.COMPACTION).last_error
        assert stored == "Refused: Not enough free disk space: compacting needs 12 MB"


def test_remarks_of_an_import_are_in_the_language_of_the_reader(app, german):
    report = ImportReport("4.3")
    report.leave("runs", Refused("run_without_time"))
    report.remark(Refused("secret_without_key", what=Refused("password_of_server", name="Attic")))
    report.remarks["An older sentence"] = 3
    with app.app_context():
        importing._write(ImportState(importing.DONE, importing.UPLOAD, "old.db", report=report))
    page = german("/settings/import")
    assert "Ein Lauf ohne lesbare Zeit wurde übersprungen" in page
    assert "Das Duplicati-Passwort von Attic wurde gelöscht: ohne die alte Schlüsseldatei nicht lesbar" in page
    assert "An older sentence" in page


def test_value_that_a_backup_cannot_contain_is_named_in_the_language_of_the_reader(app):
    with app.test_request_context(headers={"Accept-Language": "de"}):
        place = Refused("value_of_column", table="jobs", column="tags")
        assert refusal_text(Refused("stored_value_invalid", "tags", place=place, reason=Refused("tag_with_comma"))) == (
            "Die Tabelle jobs hat einen unmöglichen Wert in tags: Ein Tag darf kein Komma enthalten."
        )
