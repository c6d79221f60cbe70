"""Servers, their runs and their overdue jobs."""

from datetime import timedelta

import pytest
from factories import BEGAN_AT, make_run

from app.backups.models import Server
from app.core.db.orm import writing

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def get(admin, db):
    """Read as an administrator; return status and body."""

    def get(path: str):
        answer = admin.get(path)
        return answer.status_code, answer.get_json()

    return get


@pytest.mark.parametrize("path", ["servers", "servers/machine-1", "detail/machine-1"])
def test_visitors_have_no_access(client, db, path):
    make_run()
    assert client.get(f"/api/{path}").status_code == 401


def test_list_is_empty_by_default(get):
    assert get("/api/servers") == (200, [])


def test_list_is_ordered_by_name(get):
    make_run(server_id="m-1", server_name="b")
    make_run(server_id="m-2", server_name="a")
    assert get("/api/servers")[1] == [
        {"id": "m-2", "name": "a", "alias": "", "note": ""},
        {"id": "m-1", "name": "b", "alias": "", "note": ""},
    ]


def test_list_with_backups_has_an_entry_for_each_job(get):
    for job_name in ("b", "a"):
        make_run(job_name=job_name)
    with writing() as session:
        session.add(Server(id="m-9", name="without runs", created_at=BEGAN_AT))
    entries = get("/api/servers?includeBackups=true")[1]
    assert [(entry["id"], entry["backupName"]) for entry in entries] == [("machine-1", "a"), ("machine-1", "b")]
    assert entries[0].keys() == {"id", "name", "backupName", "server_url", "alias", "note", "hasPassword"}


def test_servers_of_one_name_are_in_order_of_arrival(get):
    for server_id in ("m-2", "m-1"):
        for job_name in ("b", "a"):
            make_run(server_id=server_id, job_name=job_name, now=BEGAN_AT if server_id == "m-2" else BEGAN_AT + HOUR)
    expected = [("m-2", "a"), ("m-1", "a"), ("m-2", "b"), ("m-1", "b")]
    assert [(entry["id"], entry["backupName"]) for entry in get("/api/servers?includeBackups=true")[1]] == expected
    jobs = get("/api/configuration/unified")[1]["serversWithBackups"]
    assert [(entry["id"], entry["backupName"]) for entry in jobs] == expected
    rows = get("/api/backups/last-timestamps")[1]["raw"]
    assert [(row["server_id"], row["backup_name"]) for row in rows] == expected
    assert [server["id"] for server in get("/api/dashboard")[1]["serversSummary"]] == ["m-2", "m-1"]
    assert [server["id"] for server in get("/api/lastbackup/nas")[1]["duplicate_servers"]] == ["m-2", "m-1"]


def test_one_server_is_returned(get):
    make_run()
    body = get("/api/servers/machine-1")
    assert body == (200, {"id": "machine-1", "name": "nas", "alias": "", "note": "", "server_url": ""})


@pytest.mark.parametrize("path", ["servers/nobody", "detail/nobody", "servers/nas"])
def test_unknown_server_is_a_404(get, path):
    make_run()
    status, body = get(f"/api/{path}")
    assert (status, body["error"]) == (404, "Server not found")


@pytest.mark.parametrize("flag", ["includeBackups", "includeChartData"])
def test_runs_of_a_server_and_their_points(get, flag):
    make_run(duration_s=119.0, messages=("a",))
    make_run(duration_s=60.0, began_at=BEGAN_AT + HOUR)
    body = get(f"/api/servers/machine-1?{flag}=true")[1]
    assert [run["date"] for run in body["backups"]] == ["2031-05-04T12:00:00.000Z", "2031-05-04T11:00:00.000Z"]
    assert [run["durationInMinutes"] for run in body["backups"]] == [1, 1]
    assert body["backups"][0]["messages_array"] == []
    assert [point["isoDate"] for point in body["chartData"]] == ["2031-05-04T11:00:00.000Z", "2031-05-04T12:00:00.000Z"]


@pytest.mark.parametrize(("limit", "count"), [("2", 2), ("0", 1), ("-5", 1), ("99999", 5), ("1000", 5)])
def test_limit_is_clamped(get, limit, count):
    for number in range(5):
        make_run(began_at=BEGAN_AT + number * HOUR)
    body = get(f"/api/servers/machine-1?includeBackups=true&limit={limit}")[1]
    assert len(body["backups"]) == count


def test_older_runs_are_paged(get):
    for number in range(4):
        make_run(began_at=BEGAN_AT + number * HOUR)
    path = "/api/servers/machine-1?includeBackups=true&limit=2"
    first = get(path)[1]["backups"]
    second = get(f"{path}&before={first[-1]['date']}")[1]["backups"]
    assert [run["date"][11:13] for run in first + second] == ["14", "13", "12", "11"]


@pytest.mark.parametrize("query", ["limit=many", "before=yesterday"])
def test_unreadable_query_is_a_400_with_its_field(get, query):
    make_run()
    status, body = get(f"/api/servers/machine-1?includeBackups=true&{query}")
    assert (status, body["error"].partition(":")[0]) == (400, query.partition("=")[0])


def test_detail_of_a_server_without_issues(get):
    make_run()
    status, body = get("/api/detail/machine-1")
    assert (status, body["overdueBackups"], body["lastOverdueCheck"]) == (200, [], "N/A")
    assert (body["server"]["id"], len(body["server"]["backups"])) == ("machine-1", 1)


def test_detail_names_overdue_jobs(get, clock):
    make_run(began_at=clock() - 3 * DAY, job_name="late")
    make_run(began_at=clock() - HOUR, job_name="fine")
    [overdue] = get("/api/detail/machine-1")[1]["overdueBackups"]
    assert (overdue["serverName"], overdue["backupName"]) == ("nas", "late")
    assert overdue["lastBackupDate"] == "2031-05-01T12:00:00.000Z"
    assert overdue["expectedBackupDate"] == "2031-05-02T12:00:00.000Z"
    assert (overdue["lastNotificationSent"], overdue["notificationEvent"]) == ("N/A", "warnings")
    assert overdue["expectedBackupElapsed"]


def test_responses_show_an_upload_at_once(get):
    make_run()
    assert len(get("/api/servers/machine-1?includeBackups=true")[1]["backups"]) == 1
    make_run(began_at=BEGAN_AT + HOUR)
    assert len(get("/api/servers/machine-1?includeBackups=true")[1]["backups"]) == 2
    assert len(get("/api/detail/machine-1")[1]["server"]["backups"]) == 2
