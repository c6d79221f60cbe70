"""Collecting over HTTP, as clients of the reference call it, and what we add to it."""

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


@pytest.fixture
def duplicati() -> Iterator[DuplicatiServer]:
    """A Duplicati that speaks plain http."""
    with duplicati_server() as server:
        yield server


@pytest.fixture
def send(admin, db):
    """Sends a changing request as an administrator; gives status and body."""

    def send(path: str, body=None, method: str = "POST"):
        answer = admin.send(method, f"/api/backups/{path}", json=body)
        return answer.status_code, answer.get_json()

    return send


def given(server: DuplicatiServer, **changes) -> dict:
    """Host, port and password of a stand-in."""
    usual = {"hostname": "127.0.0.1", "port": server.port, "password": PASSWORD, "protocol": "http"}
    return {**usual, **changes}


def test_collect_answers_as_the_reference(send, admin, duplicati):
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


def test_what_cannot_be_used_is_counted_and_named(send, duplicati):
    duplicati.logs["3"].append(entry(message(Duration="?")))
    said = send("collect", given(duplicati))[1]
    assert (said["success"], said["stats"]["errors"], len(said["errors"])) == (True, 1, 1)


def test_running_jobs_are_no_errors_and_named(send, duplicati):
    duplicati.running = "3"
    said = send("collect", given(duplicati))[1]
    assert said["stats"]["errors"] == 0
    assert said["running"] == [{"name": "Photos", "since": "2031-05-04T11:30:00.228Z"}]


def test_older_duplicati_without_a_password(send, admin):
    with duplicati_server(OLD) as server:
        server.password = ""
        body = {"hostname": "127.0.0.1", "port": server.port, "protocol": "http", "noPassword": True}
        assert send("collect", body)[0] == 200


def test_connection_is_tested_with_the_headers_of_a_server_at_its_address_alone(send, admin, duplicati):
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


def test_server_without_jobs_answers_a_message_alone(send, duplicati):
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
def test_orders_are_checked_before_any_connection(send, db, path, body, status, words):
    answered, said = send(path, body)
    assert answered == status
    assert words in said["error"]
    db.session.commit()
    assert not db.session.scalars(select(AuditEntry).where(AuditEntry.status == "error")).all()


def test_record_without_password_is_described(send, admin, duplicati):
    send("collect", given(duplicati))
    admin.send("PATCH", f"/api/servers/{MACHINE_ID}/password", json={"password": ""})
    status, said = send("collect", {"serverId": MACHINE_ID})
    assert (status, said["serverInfo"]["has_password"], said["serverInfo"]["name"]) == (404, 0, "nas-01")


def test_failures_are_500_with_a_sentence_and_a_word(send, duplicati):
    status, said = send("collect", given(duplicati, password="wrong"))
    assert (status, said["error"], said["errorCode"]) == (500, "Login failed: Unauthorized", "LOGIN")


def test_an_ordinary_account_collects_and_changes_no_record(app, db, client, duplicati, send):
    send("collect", given(duplicati))
    account = users.NewAccount("viewer", "Viewer1234", is_admin=False, must_change_password=False)
    users.create_account(account, actor=SYSTEM, now=runtime.now())
    client.sign_in("viewer", "Viewer1234")
    with duplicati_server() as other:
        body = given(other, serverId=MACHINE_ID)
        assert client.send("POST", "/api/backups/collect", json=body).status_code == 200
    db.session.commit()
    assert db.session.get_one(Server, MACHINE_ID).url == duplicati.url


def test_collection_is_watched_to_its_end(send, admin, duplicati):
    send("collect", given(duplicati))
    duplicati.logs["3"].append(entry(message(BEGAN_AT.replace(hour=3))))
    body = {"servers": [{"serverId": MACHINE_ID, "downloadJson": False}, given(duplicati, password="no")]}
    body["servers"][1]["downloadJson"] = True
    status, said = send("collections", body)
    assert status == 202
    deadline = time.monotonic() + 60
    while not said["isDone"] and time.monotonic() < deadline:
        time.sleep(0.01)
        said = admin.get(f"/api/backups/collections/{said['id']}").get_json()
    good, bad = said["servers"]
    assert (good["state"], good["name"], good["stats"]["processed"]) == ("collected", "nas-01", 1)
    assert (bad["state"], bad["errorCode"], bad["error"]) == ("failed", "LOGIN", "Login failed: Unauthorized")
    assert admin.get(f"/api/backups/collections/{said['id']}/1/json").status_code == 404
    assert PASSWORD not in json.dumps(said)


def test_document_of_a_collection_is_downloaded(send, admin, duplicati):
    duplicati.machine_name = "nächtlich"
    said = send("collections", {"servers": [given(duplicati, downloadJson=True)]})[1]
    deadline = time.monotonic() + 60
    while not said["isDone"] and time.monotonic() < deadline:
        time.sleep(0.01)
        said = admin.get(f"/api/backups/collections/{said['id']}").get_json()
    answer = admin.get(f"/api/backups/collections/{said['id']}/1/json")
    assert answer.get_json()["system_info"]["MachineName"] == "nächtlich"
    assert "_collected_2031-05-04T12-00-00.json" in answer.headers["Content-Disposition"]
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("body", [{}, {"servers": []}, {"all": True, "servers": [{"serverId": "x"}]}, {"servers": "x"}])
def test_collection_needs_servers(send, body):
    assert send("collections", body)[0] == 400


def test_all_without_any_that_can_be_asked_is_refused(send):
    assert send("collections", {"all": True})[0] == 400


def test_pull_is_chosen_and_shown(send, admin, duplicati):
    send("collect", given(duplicati))
    wanted = {"interval": "6h", "verifyCertificate": False}
    status, said = send(f"collect/{MACHINE_ID}", wanted, "PATCH")
    assert (status, said["interval"], said["verifyCertificate"]) == (200, "6h", False)
    assert said["nextAt"] == said["collectedAt"] == "2031-05-04T12:00:00.000Z"
    assert admin.get(f"/api/backups/collect/{MACHINE_ID}").get_json() == said
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
