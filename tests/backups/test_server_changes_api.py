"""Changing, merging and deleting servers over HTTP."""

from datetime import timedelta

import pytest
from factories import BEGAN_AT, make_run
from sqlalchemy import select

from app.audit.log import AuditEntry
from app.backups.models import Server
from app.backups.servers import decrypt_headers
from app.database import secrets
from app.plugin.testing.http_servers import Answer, recording_server

HOUR = timedelta(hours=1)


@pytest.fixture
def send(admin, db):
    """Send a changing request as an administrator; return status and body."""

    def send(method: str, path: str, body=None):
        answer = admin.send(method, f"/api/servers{path}", json=body)
        return answer.status_code, answer.get_json()

    return send


def stored(db, server_id: str = "machine-1") -> Server:
    db.session.commit()
    return db.session.get_one(Server, server_id, populate_existing=True)


def last_entry(db) -> AuditEntry:
    db.session.commit()
    return db.session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1)).one()


class TestUpdate:
    def test_all_three_fields_are_stored_as_sent(self, send, db):
        make_run()
        body = {"server_url": "http://nas.lan:8200", "alias": " Attic ", "note": "under the roof"}
        status, answer = send("PATCH", "/machine-1", body)
        assert (status, answer["serverId"], answer["alias"]) == (200, "machine-1", " Attic ")
        assert (stored(db).url, stored(db).note) == ("http://nas.lan:8200", "under the roof")

    def test_missing_fields_become_empty(self, send, db):
        make_run()
        send("PATCH", "/machine-1", {"server_url": "http://nas", "alias": "a", "note": "n"})
        send("PATCH", "/machine-1", {"note": None, "alias": "b"})
        assert (stored(db).url, stored(db).alias, stored(db).note) == ("", "b", "")

    def test_unknown_server_is_reported_before_an_invalid_address(self, send):
        assert send("PATCH", "/nobody", {"server_url": "::::"})[0] == 404

    @pytest.mark.parametrize("url", ["::::", "nas", "ftp://nas", "http://", "http://169.254.169.254", "javascript:x"])
    def test_invalid_address_is_rejected_and_changes_nothing(self, send, db, url):
        make_run()
        assert send("PATCH", "/machine-1", {"server_url": url, "alias": "x"})[0] == 400
        assert stored(db).alias == ""

    @pytest.mark.parametrize("field", ["server_url", "alias", "note"])
    def test_value_that_is_no_text_is_rejected_with_its_field(self, send, field):
        make_run()
        status, body = send("PATCH", "/machine-1", {field: 7})
        assert (status, field in body["error"]) == (400, True)

    def test_change_is_recorded(self, send, db):
        make_run()
        send("PATCH", "/machine-1", {"alias": "new"})
        entry = last_entry(db)
        assert (entry.action, entry.category, entry.target_id) == ("server_updated", "server", "machine-1")
        assert entry.details == {"serverName": "nas", "changes": {"server_url": "", "alias": "new", "note": ""}}


class TestUrl:
    def test_address_can_be_read(self, send, admin):
        make_run()
        status, body = send("PATCH", "/machine-1/server-url", {"server_url": "https://nas:8200"})
        assert (status, body["serverName"], body["server_url"]) == (200, "nas", "https://nas:8200")
        read = admin.get("/api/servers/machine-1/server-url").get_json()
        assert read == {"serverId": "machine-1", "server_url": "https://nas:8200"}

    @pytest.mark.parametrize("body", [{}, {"server_url": None}, {"server_url": ""}])
    def test_missing_address_clears_the_stored_one(self, send, db, body):
        make_run()
        send("PATCH", "/machine-1/server-url", {"server_url": "https://nas:8200"})
        assert send("PATCH", "/machine-1/server-url", body)[1]["server_url"] == ""

    @pytest.mark.parametrize(
        ("url", "sentence"),
        [("::::", "Invalid URL format"), ("ftp://nas", "URL must use HTTP or HTTPS protocol")],
    )
    def test_invalid_address_is_named(self, send, url, sentence):
        make_run()
        status, body = send("PATCH", "/machine-1/server-url", {"server_url": url})
        assert (status, body["error"]) == (400, sentence)

    def test_unknown_server(self, send, admin):
        assert send("PATCH", "/nobody/server-url", {"server_url": "http://a:1"})[0] == 404
        assert admin.get("/api/servers/nobody/server-url").status_code == 404

    def test_change_is_recorded(self, send, db):
        make_run()
        send("PATCH", "/machine-1/server-url", {"server_url": "https://nas"})
        assert last_entry(db).details["changes"] == {"server_url": "https://nas"}


class TestPassword:
    def test_password_is_stored_encrypted(self, send, db):
        make_run()
        assert send("PATCH", "/machine-1/password", {"password": "s3cret!"})[0] == 200
        assert "s3cret" not in stored(db).encrypted_password
        assert secrets.decrypt(stored(db).encrypted_password) == "s3cret!"

    def test_blank_password_deletes_the_stored_one(self, send, db):
        make_run()
        send("PATCH", "/machine-1/password", {"password": "s3cret!"})
        send("PATCH", "/machine-1/password", {"password": "  "})
        assert not stored(db).has_password

    @pytest.mark.parametrize("body", [{}, {"password": None}, {"password": 7}])
    def test_password_must_be_a_text(self, send, body):
        make_run()
        status, answer = send("PATCH", "/machine-1/password", body)
        assert (status, answer["error"]) == (400, "Password must be a string")

    def test_unknown_server(self, send):
        assert send("PATCH", "/nobody/password", {"password": "s"})[0] == 404

    def test_empty_password_is_stored_for_a_server_without_password(self, send, db):
        make_run()
        assert send("PATCH", "/machine-1/password", {"noPassword": True})[0] == 200
        assert stored(db).has_password
        assert secrets.decrypt(stored(db).encrypted_password) == ""

    def test_headers_are_stored_with_the_password_and_returned_masked(self, send, db):
        make_run()
        send("PATCH", "/machine-1/password", {"password": "s3cret!"})
        status, answer = send("PATCH", "/machine-1/password", {"headers": {"X-Token": "hush"}})
        assert (status, answer["headers"]) == (200, {"X-Token": "***"})
        assert answer["message"] == "Headers updated successfully"
        assert secrets.decrypt(stored(db).encrypted_password) == "s3cret!"
        assert decrypt_headers(stored(db)) == {"X-Token": "hush"}
        answer = send("PATCH", "/machine-1/password", {"password": "other", "headers": None})[1]
        assert answer == {"message": "Password updated successfully", "serverId": "machine-1"}
        assert decrypt_headers(stored(db)) == {"X-Token": "hush"}
        assert send("PATCH", "/machine-1/password", {"headers": {}})[1]["headers"] == {}
        assert not stored(db).has_headers

    @pytest.mark.parametrize(
        ("headers", "words"),
        [({"Host": "nas"}, "Host"), ({"X-A": "a\r\nb"}, "X-A"), ({"X-A": 7}, "headers"), ([], "headers")],
    )
    def test_unsendable_headers_are_named_and_nothing_is_stored(self, send, db, headers, words):
        make_run()
        status, answer = send("PATCH", "/machine-1/password", {"password": "s3cret!", "headers": headers})
        assert (status, words in answer["error"]) == (400, True)
        assert not stored(db).has_password

    def test_headers_are_not_sent_to_another_host(self, send, db):
        make_run()
        send("PATCH", "/machine-1/server-url", {"server_url": "https://nas:8200"})
        send("PATCH", "/machine-1/password", {"headers": {"X-Token": "hush"}})
        answer = send("PATCH", "/machine-1/server-url", {"server_url": "https://other:8200"})[1]
        assert (answer["passwordRemoved"], answer["headersRemoved"]) == (False, True)
        assert not stored(db).has_headers

    def test_audit_log_does_not_contain_it(self, send, db):
        make_run()
        send("PATCH", "/machine-1/password", {"password": "s3cret!"})
        assert last_entry(db).action == "server_password_updated"
        assert last_entry(db).details == {"serverName": "nas", "passwordChanged": "[REDACTED]"}

    def test_reading_returns_a_valid_token(self, admin, db):
        make_run()
        token = admin.get("/api/servers/machine-1/password").get_json()["csrfToken"]
        answer = admin.patch("/api/servers/machine-1/password", json={"password": "x"}, headers={"X-CSRF-Token": token})
        assert answer.status_code == 200

    @pytest.mark.parametrize("path", ["/machine-1", "/machine-1/server-url"])
    def test_new_host_deletes_the_password_with_a_notice(self, send, db, path):
        make_run()
        send("PATCH", path, {"server_url": "https://nas:8200"})
        send("PATCH", "/machine-1/password", {"password": "s3cret!"})
        _, answer = send("PATCH", path, {"server_url": "https://elsewhere:8200"})
        assert not stored(db).has_password
        assert answer["passwordRemoved"] is True
        assert "password was removed" in answer["message"]
        assert last_entry(db).details["credentialsDropped"] is True

    def test_same_host_keeps_the_password(self, send, db):
        make_run()
        send("PATCH", "/machine-1", {"server_url": "https://nas:8200"})
        send("PATCH", "/machine-1/password", {"password": "s3cret!"})
        _, answer = send("PATCH", "/machine-1", {"server_url": "https://NAS:8443/path"})
        assert (stored(db).has_password, answer["passwordRemoved"]) == (True, False)

    def test_empty_address_in_between_deletes_the_password_too(self, send, db):
        make_run()
        send("PATCH", "/machine-1", {"server_url": "https://nas:8200"})
        send("PATCH", "/machine-1/password", {"password": "s3cret!"})
        send("PATCH", "/machine-1", {})
        assert stored(db).has_password
        send("PATCH", "/machine-1", {"server_url": "https://elsewhere"})
        assert not stored(db).has_password


class TestDelete:
    def test_server_is_deleted_with_its_runs(self, send, admin):
        make_run()
        make_run(began_at=BEGAN_AT + HOUR)
        status, body = send("DELETE", "/machine-1")
        assert (status, body["status"], body["changes"]) == (200, 200, {"backupChanges": 2, "serverChanges": 1})
        assert admin.get("/api/servers").get_json() == []
        assert admin.get("/api/summary").get_json()["totalBackupsRuns"] == 0

    def test_unknown_server(self, send):
        assert send("DELETE", "/nobody")[0] == 404

    def test_deletion_is_recorded(self, send, db):
        make_run()
        send("DELETE", "/machine-1")
        assert (last_entry(db).action, last_entry(db).target_id) == ("server_deleted", "machine-1")
        assert last_entry(db).details == {"serverName": "nas", "backupChanges": 1}


class TestDuplicates:
    def test_servers_of_one_name_are_grouped_newest_first(self, admin, db):
        for age, server_id in enumerate(("c", "b", "a")):
            make_run(server_id=server_id, server_name="nas", now=BEGAN_AT - age * HOUR)
        make_run(server_id="x", server_name="Nas")
        make_run(server_id="http://y", server_name="nas")
        groups = admin.get("/api/servers/duplicates").get_json()
        assert [(group["name"], [server["id"] for server in group["servers"]]) for group in groups] == [
            ("nas", ["c", "b", "a"])
        ]
        assert groups[0]["servers"][0] == {
            "id": "c",
            "created_at": "2031-05-04 11:00:00",
            "alias": "",
            "note": "",
            "server_url": "",
        }

    def test_servers_of_one_second_are_in_order_of_arrival(self, admin, db):
        for milliseconds, server_id in ((0, "b"), (5, "a")):
            make_run(server_id=server_id, now=BEGAN_AT + timedelta(milliseconds=milliseconds))
        group = admin.get("/api/servers/duplicates").get_json()[0]
        assert [server["id"] for server in group["servers"]] == ["b", "a"]

    def test_there_are_no_duplicates(self, admin, db):
        make_run()
        assert admin.get("/api/servers/duplicates").get_json() == []


class TestMerge:
    def test_merge_returns_the_number_of_runs(self, send):
        make_run(server_id="old")
        make_run(server_id="new", began_at=BEGAN_AT + HOUR)
        status, body = send("POST", "/merge", {"oldServerIds": ["old"], "targetServerId": "new"})
        assert (status, body["success"], body["backupIdsNormalized"]) == (200, True, 0)
        assert body["message"] == "Successfully merged 1 server(s) into target server"

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"oldServerIds": [], "targetServerId": "new"},
            {"oldServerIds": "old", "targetServerId": "new"},
            {"oldServerIds": [7], "targetServerId": "new"},
            {"oldServerIds": ["old"]},
            {"oldServerIds": ["old"], "targetServerId": 7},
            {"oldServerIds": ["new"], "targetServerId": "new"},
        ],
    )
    def test_bad_request(self, send, body):
        make_run(server_id="new")
        assert send("POST", "/merge", body)[0] == 400

    def test_unknown_target(self, send):
        make_run(server_id="old")
        assert send("POST", "/merge", {"oldServerIds": ["old"], "targetServerId": "nobody"})[0] == 404


class TestConnection:
    def test_duplicati_is_found(self, send):
        with recording_server() as duplicati:
            duplicati.standard = Answer(401, b'{"Error": "Failed to log in", "Code": 401}')
            answer = send("POST", "/test-connection", {"server_url": duplicati.url})
        assert answer == (200, {"success": True, "message": "Connection successful"})

    @pytest.mark.parametrize("body", [{}, {"server_url": None}, {"server_url": " "}])
    def test_address_is_required(self, send, body):
        status, answer = send("POST", "/test-connection", body)
        assert (status, answer["error"]) == (400, "Server URL is required")

    def test_metadata_address_is_rejected(self, send):
        assert send("POST", "/test-connection", {"server_url": "http://169.254.169.254"})[0] == 400

    def test_visitors_cannot_test_connections(self, client):
        answer = client.send("POST", "/api/servers/test-connection", json={"server_url": "http://127.0.0.1:9"})
        assert answer.status_code == 401
