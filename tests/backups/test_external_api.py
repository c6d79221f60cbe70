"""The API for widgets and scripts: the summary and the newest runs, as in the contract."""

from datetime import timedelta
from urllib.parse import quote

import pytest
from factories import BEGAN_AT, make_run

from app.accounts import api_keys
from app.backups.models import Server
from app.core.db.orm import writing
from app.core.settings import store as settings_store

HOUR = timedelta(hours=1)
NO_STORE = ("Cache-Control", "Pragma", "X-Content-Type-Options")


@pytest.fixture(autouse=True)
def database(db):
    """A database, open for the test."""


class TestSummary:
    def test_empty_database(self, client):
        assert client.get("/api/summary").get_json() == {
            "totalServers": 0,
            "totalBackupsRuns": 0,
            "totalBackups": 0,
            "totalUploadedSize": 0,
            "totalStorageUsed": 0,
            "totalBackupSize": 0,
            "overdueBackupsCount": 0,
            "secondsSinceLastBackup": None,
        }

    def test_every_total(self, client, clock):
        make_run(job_name="a", uploaded_bytes=1, storage_bytes=10, examined_bytes=100, began_at=BEGAN_AT - 48 * HOUR)
        make_run(job_name="b", uploaded_bytes=2, storage_bytes=20, examined_bytes=200)
        make_run(job_name="b", uploaded_bytes=4, storage_bytes=40, examined_bytes=400, began_at=BEGAN_AT - HOUR)
        make_run(server_id="m-2", server_name="attic", uploaded_bytes=8, storage_bytes=80, examined_bytes=800)
        assert client.get("/api/summary").get_json() == {
            "totalServers": 2,
            "totalBackupsRuns": 4,
            "totalBackups": 3,
            "totalUploadedSize": 15,
            "totalStorageUsed": 110,
            "totalBackupSize": 1100,
            "overdueBackupsCount": 1,
            "secondsSinceLastBackup": 3600,
        }

    def test_run_in_the_future_gives_negative_seconds(self, client, clock):
        make_run(began_at=clock() + timedelta(milliseconds=1))
        assert client.get("/api/summary").get_json()["secondsSinceLastBackup"] == -1

    def test_seconds_increase_while_nothing_is_stored(self, client, clock):
        make_run()
        before = client.get("/api/summary").get_json()["secondsSinceLastBackup"]
        clock.advance(seconds=5)
        assert client.get("/api/summary").get_json()["secondsSinceLastBackup"] == before + 5

    def test_there_is_an_etag_and_no_other_cache_header(self, client):
        answer = client.get("/api/summary")
        assert "no-store" not in answer.headers.get("Cache-Control", "")
        assert client.get("/api/summary", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304

    def test_known_etag_of_an_older_state_gives_the_new_response(self, client):
        etag = client.get("/api/summary").headers["ETag"]
        make_run()
        assert client.get("/api/summary", headers={"If-None-Match": etag}).status_code == 200

    def test_response_sets_no_cookie(self, client):
        assert "Set-Cookie" not in client.get("/api/summary").headers


class TestLatest:
    def test_run_has_every_field_of_the_contract(self, client):
        run = make_run(
            began_at=BEGAN_AT + timedelta(milliseconds=123),
            status="Warning",
            duration_s=2311.25,
            examined_files=15230,
            examined_bytes=5_000_000_000,
            uploaded_bytes=7,
            storage_bytes=8,
            version_count=6,
            message_count=41,
            warning_count=1,
            messages=("one",),
            warnings=("w",),
            available_versions=("2031-05-04T00:00:00.000Z",),
        )
        answer = client.get("/api/lastbackup/machine-1").get_json()
        assert answer["latest_backup"] == {
            "id": run.id,
            "server_id": "machine-1",
            "name": "photos",
            "date": "2031-05-04T11:00:00.123Z",
            "status": "Warning",
            "warnings": 1,
            "errors": 0,
            "messages": 41,
            "fileCount": 15230,
            "fileSize": 5_000_000_000,
            "uploadedSize": 7,
            "duration": "00:38:31",
            "duration_seconds": 2311.25,
            "durationInMinutes": 2311.25 / 60,
            "knownFileSize": 8,
            "backup_list_count": 6,
            "messages_array": ["one"],
            "warnings_array": ["w"],
            "errors_array": [],
            "available_backups": ["2031-05-04T00:00:00.000Z"],
        }
        assert answer["status"] == 200

    def test_newest_run_over_all_jobs(self, client):
        make_run(job_name="a")
        make_run(job_name="b", began_at=BEGAN_AT + HOUR)
        assert client.get("/api/lastbackup/machine-1").get_json()["latest_backup"]["name"] == "b"

    def test_newest_run_of_each_job(self, client):
        make_run(job_name="a")
        make_run(job_name="b", began_at=BEGAN_AT + HOUR)
        make_run(job_name="b")
        answer = client.get("/api/lastbackups/machine-1").get_json()
        assert [run["name"] for run in answer["latest_backups"]] == answer["backup_names"] == ["b", "a"]
        assert (answer["backup_jobs_count"], answer["status"]) == (2, 200)

    def test_server_reports_when_it_was_created(self, client):
        make_run(now=BEGAN_AT)
        server = client.get("/api/lastbackup/machine-1").get_json()["server"]
        assert server == {"id": "machine-1", "name": "nas", "created_at": "2031-05-04 11:00:00"}

    def test_server_without_runs(self, client):
        with writing() as session:
            session.add(Server(id="m-9", name="new", created_at=BEGAN_AT))
        assert client.get("/api/lastbackup/m-9").get_json()["latest_backup"] is None
        answer = client.get("/api/lastbackups/m-9").get_json()
        assert (answer["latest_backups"], answer["backup_jobs_count"], answer["backup_names"]) == ([], 0, [])

    @pytest.mark.parametrize("name", ["my nas", "a/b", "ü%20", "漢字", "a+b", "?"])
    def test_name_with_any_characters_is_found(self, client, name):
        make_run(server_name=name)
        answer = client.get(f"/api/lastbackup/{quote(name, safe='')}")
        assert (answer.status_code, answer.get_json()["server"]["name"]) == (200, name)

    @pytest.mark.parametrize("path", ["lastbackup", "lastbackups"])
    def test_unknown_server_is_a_404(self, client, path):
        answer = client.get(f"/api/{path}/nobody")
        body = answer.get_json()
        assert (answer.status_code, body["error"], body["status"]) == (404, "Server not found", 404)
        assert "nobody" in body["message"]

    @pytest.mark.parametrize("path", ["lastbackup", "lastbackups"])
    def test_name_of_two_servers_is_a_400(self, client, path):
        make_run(server_id="m-1")
        make_run(server_id="m-2")
        answer = client.get(f"/api/{path}/nas")
        assert (answer.status_code, answer.get_json()["status"]) == (400, 400)
        assert answer.get_json()["duplicate_servers"] == [{"id": "m-1", "name": "nas"}, {"id": "m-2", "name": "nas"}]

    @pytest.mark.parametrize("server", ["machine-1", "nobody"])
    def test_neither_response_nor_error_may_be_stored(self, client, server):
        make_run()
        headers = client.get(f"/api/lastbackup/{server}").headers
        assert all(name in headers for name in NO_STORE)
        assert "no-store" in headers["Cache-Control"]

    def test_deleted_server_is_missing_at_once(self, client):
        make_run()
        assert client.get("/api/lastbackup/nas").status_code == 200
        with writing() as session:
            session.delete(session.get(Server, "machine-1"))
        assert client.get("/api/lastbackup/nas").status_code == 404


@pytest.mark.parametrize("path", ["summary", "lastbackup/machine-1", "lastbackups/machine-1"])
class TestKeys:
    def test_read_key_is_accepted(self, client, clock, path):
        make_run()
        settings_store.put("requires_api_keys", True, now=clock())
        secret = api_keys.create_key("widget", "read", now=clock()).secret
        assert client.get(f"/api/{path}?api_key={secret}").status_code == 200

    def test_upload_key_is_forbidden(self, client, clock, path):
        settings_store.put("requires_api_keys", True, now=clock())
        secret = api_keys.create_key("Duplicati", "upload", now=clock()).secret
        assert client.get(f"/api/{path}", headers={"X-Api-Key": secret}).status_code == 403

    def test_missing_key_is_unauthorized(self, client, clock, path):
        settings_store.put("requires_api_keys", True, now=clock())
        answer = client.get(f"/api/{path}")
        assert answer.status_code == 401
        # Widgets of the newest runs read the status in the body; the summary has none.
        assert answer.get_json().get("status") == (None if path == "summary" else 401)
