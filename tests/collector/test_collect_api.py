"""Collecting over HTTP, as clients of the original do it, and our additions."""

import json
import time
from collections.abc import Iterator

import pytest
from duplicati_server import (
    BEGAN_AT,
    MACHINE_ID,
    OLD,
    PASSWORD,
    DuplicatiServer,
    Reply,
    duplicati_server,
    entry,
    message,
)
from sqlalchemy import select

from app import runtime
from app.accounts import users
from app.audit.log import SYSTEM, AuditEntry
from app.backups.models import Server

pytestmark = pytest.mark.slow


@pytest.fixture
def duplicati() -> Iterator[DuplicatiServer]:
    """A fake Duplicati server with plain HTTP."""
    with duplicati_server() as server:
        yield server


@pytest.fixture
def send(admin, db):
    """Send a changing request as an administrator; return status and body."""

    def send(path: str, body=None, method: str = "POST"):
        answer = admin.send(method, f"/api/backups/{path}", json=body)
        return answer.status_code, answer.get_json()

    return send


def given(server: DuplicatiServer, **changes) -> dict:
    """Return host, port and password of a fake server."""
    usual = {"hostname": "127.0.0.1", "port": server.port, "password": PASSWORD, "protocol": "http"}
    return {**usual, **changes}


def test_collect_responds_like_the_original(send, admin, duplicati):
    assert send("collect", given(duplicati)) == (
        200,
        {
            "success": True,
            "serverName": "nas-01",
            "serverAlias": "",
            "stats": {"processed": 1, "skipped": 0, "errors": 0},
            "backupSettings": {"message": "Schedules of the backup jobs saved"},
        },
    )
    listed = admin.get(f"/api/detail/{MACHINE_ID}").get_json()["server"]["backups"]
    assert [(run["date"], run["status"]) for run in listed] == [("2031-05-04T02:00:03.123Z", "Success")]
    assert send("collect", {"serverId": MACHINE_ID})[1]["stats"] == {"processed": 0, "skipped": 1, "errors": 0}


def test_unusable_entries_are_counted_and_named(send, duplicati):
    duplicati.logs["3"].append(entry(message(Duration="?")))
    body = send("collect", given(duplicati))[1]
    assert (body["success"], body["stats"]["errors"], len(body["errors"])) == (True, 1, 1)


def test_running_jobs_are_named_and_no_errors(send, duplicati):
    duplicati.running = "3"
    body = send("collect", given(duplicati))[1]
    assert body["stats"]["errors"] == 0
    assert body["running"] == [{"name": "Photos", "since": "2031-05-04T11:30:00.228Z"}]


def test_older_duplicati_without_a_password(send, admin):
    with duplicati_server(OLD) as server:
        server.password = ""
        body = {"hostname": "127.0.0.1", "port": server.port, "protocol": "http", "noPassword": True}
        assert send("collect", body)[0] == 200


def test_connection_is_tested_with_stored_headers_at_the_stored_address_only(send, admin, duplicati):
    send("collect", given(duplicati))
    admin.send("PATCH", f"/api/servers/{MACHINE_ID}/password", json={"headers": {"X-Token": "hush"}})
    with duplicati_server() as other:
        for server, wanted in ((duplicati, "hush"), (other, None)):
            body = {"server_url": server.url, "serverId": MACHINE_ID}
            answer = admin.send("POST", "/api/servers/test-connection", json=body)
            assert answer.get_json()["success"] is True
            assert server.requests[-1].headers.get("x-token") == wanted


def test_json_is_a_text_indented_by_two(send, duplicati):
    text = send("collect", given(duplicati, downloadJson=True))[1]["jsonData"]
    assert text.startswith('{\n  "system_info": {\n    "')
    assert json.loads(text).keys() == {"system_info", "backups", "backup_logs"}


def test_server_without_jobs_returns_a_message_only(send, duplicati):
    duplicati.jobs = []
    assert send("collect", given(duplicati)) == (200, {"message": "No backups found"})
    assert send("sync-schedule", given(duplicati)) == (
        200,
        {
            "success": True,
            "serverName": "nas-01",
            "stats": {"processed": 0, "errors": 0},
            "message": "No backups found",
        },
    )


def test_schedules_are_synchronised(send, duplicati):
    send("collect", given(duplicati))
    assert send("sync-schedule", {"serverId": MACHINE_ID}) == (
        200,
        {"success": True, "serverName": "nas-01", "stats": {"processed": 1, "errors": 0}},
    )


@pytest.mark.parametrize("path", ["collect", "sync-schedule"])
@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"serverId": "nobody"}, 404, "Server not found"),
        ({"password": "x"}, 400, "A host name is required"),
        ({"hostname": "x"}, 400, "A password is required"),
        ({"hostname": "x", "password": "x", "protocol": "gopher"}, 400, ""),
        ({"hostname": "x", "password": "x", "port": 0}, 400, ""),
        ({"hostname": "x", "password": "x", "headers": {"Host": "y"}}, 400, "The header Host cannot be set"),
        ({"hostname": "x", "headers": {"X-Token": "y"}}, 400, "A password is required"),
        ({"serverId": "nas", "headers": {"X-Token": "y"}}, 400, "headers need"),
        ({"serverId": "nas", "password": "x", "headers": {"X-Token": "y"}}, 400, "headers need"),
        ({"serverId": "nobody", "headers": None}, 404, "Server not found"),
        ({"hostname": "169.254.169.254", "password": "x"}, 400, "which is not allowed"),
    ],
)
def test_requests_are_checked_before_any_connection(send, db, path, body, status, words):
    answered, result = send(path, body)
    assert answered == status
    assert words in result["error"]
    db.session.commit()
    assert not db.session.scalars(select(AuditEntry).where(AuditEntry.status == "error")).all()


def test_server_without_password_is_described(send, admin, duplicati):
    send("collect", given(duplicati))
    admin.send("PATCH", f"/api/servers/{MACHINE_ID}/password", json={"password": ""})
    status, body = send("collect", {"serverId": MACHINE_ID})
    assert (status, body["serverInfo"]["has_password"], body["serverInfo"]["name"]) == (404, 0, "nas-01")


def test_failures_are_500_with_a_message_and_a_code(send, duplicati):
    status, body = send("collect", given(duplicati, password="wrong"))
    assert (status, body["error"], body["errorCode"]) == (500, "Login failed: Unauthorized", "LOGIN")


def test_an_ordinary_account_collects_and_changes_no_server(app, db, client, duplicati, send):
    send("collect", given(duplicati))
    account = users.NewAccount("viewer", "Viewer1234", is_admin=False, must_change_password=False)
    users.create_account(account, actor=SYSTEM, now=runtime.now())
    client.sign_in("viewer", "Viewer1234")
    with duplicati_server() as other:
        body = given(other, serverId=MACHINE_ID)
        assert client.send("POST", "/api/backups/collect", json=body).status_code == 200
    db.session.commit()
    assert db.session.get_one(Server, MACHINE_ID).url == duplicati.url


def test_collection_is_polled_until_it_ends(send, admin, duplicati):
    send("collect", given(duplicati))
    duplicati.logs["3"].append(entry(message(BEGAN_AT.replace(hour=3))))
    body = {"servers": [{"serverId": MACHINE_ID, "downloadJson": False}, given(duplicati, password="no")]}
    body["servers"][1]["downloadJson"] = True
    status, result = send("collections", body)
    assert status == 202
    deadline = time.monotonic() + 60
    while not result["isDone"] and time.monotonic() < deadline:
        time.sleep(0.01)
        result = admin.get(f"/api/backups/collections/{result['id']}").get_json()
    good, bad = result["servers"]
    assert (good["state"], good["name"], good["stats"]["processed"]) == ("collected", "nas-01", 1)
    assert (bad["state"], bad["errorCode"], bad["error"]) == ("failed", "LOGIN", "Login failed: Unauthorized")
    assert admin.get(f"/api/backups/collections/{result['id']}/1/json").status_code == 404
    assert PASSWORD not in json.dumps(result)


def test_document_of_a_collection_is_downloaded(send, admin, duplicati):
    duplicati.machine_name = "nächtlich"
    body = send("collections", {"servers": [given(duplicati, downloadJson=True)]})[1]
    deadline = time.monotonic() + 60
    while not body["isDone"] and time.monotonic() < deadline:
        time.sleep(0.01)
        body = admin.get(f"/api/backups/collections/{body['id']}").get_json()
    answer = admin.get(f"/api/backups/collections/{body['id']}/1/json")
    assert answer.get_json()["system_info"]["MachineName"] == "nächtlich"
    assert "_collected_2031-05-04T12-00-00.json" in answer.headers["Content-Disposition"]
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("body", [{}, {"servers": []}, {"all": True, "servers": [{"serverId": "x"}]}, {"servers": "x"}])
def test_collection_needs_servers(send, body):
    assert send("collections", body)[0] == 400


def test_all_servers_without_any_usable_one_is_rejected(send):
    assert send("collections", {"all": True})[0] == 400


def test_collection_interval_is_chosen_and_shown(send, admin, duplicati):
    send("collect", given(duplicati))
    wanted = {"interval": "6h", "verifyCertificate": False}
    status, body = send(f"collect/{MACHINE_ID}", wanted, "PATCH")
    assert (status, body["interval"], body["verifyCertificate"]) == (200, "6h", False)
    assert body["nextAt"] == body["collectedAt"] == "2031-05-04T12:00:00.000Z"
    assert admin.get(f"/api/backups/collect/{MACHINE_ID}").get_json() == body
    assert send(f"collect/{MACHINE_ID}", {"interval": "1s"}, "PATCH")[0] == 400
    assert send("collect/nobody", {"interval": "6h"}, "PATCH")[0] == 404


def test_job_is_started(send, duplicati):
    send("collect", given(duplicati))
    assert send("run", {"serverId": MACHINE_ID, "backupName": "Photos"}) == (
        200,
        {"success": True, "message": 'Duplicati on "nas-01" was requested to run "Photos"', "taskId": 17},
    )
    duplicati.replies["/run"] = Reply(503)
    assert send("run", {"serverId": MACHINE_ID, "backupName": "Photos"})[0] == 500
    assert send("run", {"serverId": MACHINE_ID, "backupName": "Music"})[0] == 404
