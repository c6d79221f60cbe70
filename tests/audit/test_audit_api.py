"""The audit log over HTTP."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from app.accounts.models import User
from app.accounts.passwords import hash_password
from app.audit.log import Actor, AuditEntry, record_entry

LOG = "/api/audit-log"
MAY_4 = datetime(2031, 5, 4, tzinfo=UTC)


@pytest.fixture
def record(db, clock):
    def record(action="probe", *, at=None, **fields):
        values = {"category": "config", "actor": Actor(username="mia"), **fields}
        record_entry(action, values.pop("category"), now=at or clock(), **values)
        db.session.rollback()

    return record


@pytest.fixture
def listed(admin):
    def listed(**query):
        answer = admin.get(LOG, query_string=query)
        assert answer.status_code == 200
        return [entry["action"] for entry in answer.get_json()["logs"]]

    return listed


def test_an_entry_has_the_shape_of_the_contract(admin, record):
    record("probe", target_type="t", target_id="7", details={"a": [1]}, status="error", error_message="no")
    entry = admin.get(f"{LOG}?action=probe").get_json()["logs"][0]
    assert isinstance(entry.pop("id"), int)
    assert entry == {
        "timestamp": "2031-05-04 12:00:00",
        "userId": None,
        "username": "mia",
        "action": "probe",
        "category": "config",
        "targetType": "t",
        "targetId": "7",
        "details": {"a": [1]},
        "ipAddress": None,
        "userAgent": None,
        "status": "error",
        "errorMessage": "no",
    }


def test_the_newest_are_first_even_within_a_second(record, listed, clock):
    for action in ("first", "second"):
        record(action)
    record("latest", at=clock() + timedelta(seconds=1))
    assert listed(username="mia") == ["latest", "second", "first"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"startDate": "2031-05-04"}, ["begin", "end", "after"]),
        ({"startDate": "2031-05-04T00:00:00Z"}, ["begin", "end", "after"]),
        ({"startDate": "2031-05-04 00:00:01"}, ["end", "after"]),
        ({"endDate": "2031-05-04"}, ["before", "begin", "end"]),
        ({"endDate": "2031-05-03"}, ["before"]),
        ({"startDate": "soon"}, []),
        ({"endDate": "9999-12-31"}, []),
        ({"startDate": "", "endDate": ""}, ["before", "begin", "end", "after"]),
    ],
)
def test_days_are_whole_utc_days(record, listed, query, found):
    record("before", at=MAY_4 - timedelta(seconds=1))
    record("begin", at=MAY_4)
    record("end", at=MAY_4 + timedelta(hours=23, minutes=59, seconds=59))
    record("after", at=MAY_4 + timedelta(days=1))
    assert listed(username="mia", **query) == found[::-1]


@pytest.mark.parametrize("query", [{"action": "Probe"}, {"status": "failure"}, {"category": "x"}, {"userId": "x"}])
def test_conditions_are_exact_and_combined(record, listed, query):
    record("probe")
    assert listed(username="mia", action="probe") == ["probe"]
    assert listed(username="mia", **query) == []


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ({}, {"page": 1, "limit": 50, "total": 5, "totalPages": 1}),
        ({"limit": 2, "page": 3}, {"page": 3, "limit": 2, "total": 5, "totalPages": 3}),
        ({"limit": 2, "offset": 3, "page": 9}, {"page": 2, "limit": 2, "total": 5, "totalPages": 3}),
        ({"limit": -5}, {"page": 1, "limit": 1, "total": 5, "totalPages": 5}),
        ({"limit": "9" * 9}, {"page": 1, "limit": 1000, "total": 5, "totalPages": 1}),
        ({"limit": "x", "page": "-1", "offset": "y"}, {"page": 1, "limit": 50, "total": 5, "totalPages": 1}),
        ({"limit": "9" * 40, "offset": "9" * 40}, {"page": 1, "limit": 50, "total": 5, "totalPages": 1}),
    ],
)
def test_page_numbers_are_clamped(admin, record, query, place):
    for _ in range(5):
        record("probe")
    answer = admin.get(LOG, query_string={"action": "probe", **query}).get_json()
    assert answer["pagination"] == place


def test_a_page_has_its_part_of_the_entries(record, listed):
    for number in range(5):
        record(f"probe{number}")
    assert listed(username="mia", limit=2, page=2) == ["probe2", "probe1"]


class TestDownload:
    def test_csv_has_the_columns_of_the_contract_and_no_final_newline(self, admin, record):
        record("probe", details={"a": 'x "y", z'})
        answer = admin.get(f"{LOG}/download?action=probe")
        assert answer.mimetype == "text/csv"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="audit-log-2031-05-04.csv"'
        assert not answer.text.endswith("\n")
        assert answer.text.startswith("ID,Timestamp,User ID,Username,Action,Category,Target Type,Target ID,Status,")
        [row] = csv.DictReader(io.StringIO(answer.text))
        assert (row["Username"], row["Details"], row["User ID"]) == ("mia", '{"a":"x \\"y\\", z"}', "")

    @pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
    def test_no_cell_is_a_formula(self, admin, record, cell):
        record("probe", target_id=cell)
        [row] = csv.DictReader(io.StringIO(admin.get(f"{LOG}/download?action=probe").text, newline=""))
        assert row["Target ID"] == f"'{cell}"

    def test_json_is_a_list_of_entries(self, admin, record):
        record("probe")
        answer = admin.get(f"{LOG}/download?action=probe&format=json")
        assert answer.mimetype == "application/json"
        assert "audit-log-2031-05-04.json" in answer.headers["Content-Disposition"]
        assert [entry["action"] for entry in answer.get_json()] == ["probe"]

    def test_an_empty_result_is_an_error_for_csv_and_an_empty_list_for_json(self, admin):
        csv_answer = admin.get(f"{LOG}/download?action=none")
        assert (csv_answer.status_code, csv_answer.get_json()["error"]) == (400, "No logs to export")
        assert admin.get(f"{LOG}/download?action=none&format=json").get_json() == []


@pytest.mark.parametrize("text", ["MIA", "rob", "nas-7", "kÄse", "192.0.2", "refused"])
def test_search_matches_a_part_of_a_text_in_any_case(record, listed, text):
    actor = Actor(username="mia", ip_address="192.0.2.7")
    record("probe", actor=actor, target_id="NAS-7", details={"name": "Käse"}, error_message="Refused")
    assert listed(search=text) == ["probe"]
    assert listed(search=f"{text}?") == []


def test_filters_list_existing_values(admin, record):
    record("zebra")
    record("aardvark")
    words = admin.get(f"{LOG}/filters").get_json()
    assert words["actions"] == sorted(words["actions"])
    assert {"aardvark", "zebra", "login"} <= set(words["actions"])
    assert {"auth", "config"} <= set(words["categories"])
    assert words["statuses"] == ["error", "failure", "success"]


class TestRetention:
    def test_it_is_stored_and_audited(self, admin, db):
        assert admin.get(f"{LOG}/retention").get_json() == {"retentionDays": 90}
        answer = admin.send("PATCH", f"{LOG}/retention", json={"retentionDays": 120})
        assert answer.get_json() == {"success": True, "retentionDays": 120}
        assert admin.get(f"{LOG}/retention").get_json() == {"retentionDays": 120}
        entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "audit_retention_updated")).one()
        assert entry.details == {"oldValue": "90", "newValue": "120"}

    @pytest.mark.parametrize("days", [None, 0, "x", "60", True, [], 29, 366, 30.5, 1e300])
    def test_retention_outside_30_to_365_whole_days_is_rejected(self, admin, days):
        assert admin.send("PATCH", f"{LOG}/retention", json={"retentionDays": days}).status_code == 400
        assert admin.get(f"{LOG}/retention").get_json() == {"retentionDays": 90}


class TestCleanup:
    @pytest.fixture(autouse=True)
    def _entries(self, record, clock):
        record("old", at=clock() - timedelta(days=100))
        record("middle", at=clock() - timedelta(days=50))

    def test_a_dry_run_only_counts(self, admin, listed):
        answer = admin.send("POST", f"{LOG}/cleanup", json={"dryRun": True, "retentionDays": "60"})
        assert answer.get_json() == {
            "dryRun": True,
            "wouldDeleteCount": 1,
            "oldestRemaining": "2031-03-15 12:00:00",
            "retentionDays": 60,
            "cutoffDate": "2031-03-05",
        }
        assert listed(username="mia") == ["middle", "old"]

    @pytest.mark.parametrize(("body", "days"), [({}, 90), ({"retentionDays": 0}, 90), ({"retentionDays": 30}, 30)])
    def test_older_entries_are_deleted(self, admin, listed, body, days):
        answer = admin.send("POST", f"{LOG}/cleanup", json=body).get_json()
        assert (answer["success"], answer["retentionDays"]) == (True, days)
        assert listed(username="mia") == (["middle"] if days == 90 else [])
        assert listed(action="audit_cleanup", username="admin") == ["audit_cleanup"]

    def test_an_empty_body_uses_the_setting(self, admin):
        assert admin.send("POST", f"{LOG}/cleanup").get_json()["deletedCount"] == 1

    @pytest.mark.parametrize("body", [{"retentionDays": 5}, {"retentionDays": "x"}, {"retentionDays": [1]}])
    def test_invalid_days_delete_nothing(self, admin, listed, body):
        assert admin.send("POST", f"{LOG}/cleanup", json=body).status_code == 400
        assert listed(username="mia") == ["middle", "old"]

    def test_a_malformed_body_deletes_nothing(self, admin, listed):
        assert admin.send("POST", f"{LOG}/cleanup", data='{"dryRun": tru').status_code == 400
        assert listed(username="mia") == ["middle", "old"]


def test_an_account_limited_to_some_servers_reads_its_own_actions_only(app, db, clock, record):
    values = {"password_hash": hash_password("Correct7Horse"), "created_at": clock(), "updated_at": clock()}
    db.session.add(User(id="mia-1", username="mia", sees_all_servers=False, **values))
    db.session.commit()
    record("server_updated", target_id="hidden", actor=Actor(username="admin"))
    client = app.test_client()
    assert client.sign_in("mia").status_code == 200
    assert {entry["username"] for entry in client.get(LOG).get_json()["logs"]} == {"mia"}
    assert "hidden" not in client.get(f"{LOG}/download").text
    assert client.get(f"{LOG}/filters").get_json()["actions"] == ["login"]


def test_a_visitor_reads_nothing(client):
    for path in ("", "/download", "/filters", "/retention"):
        assert client.get(f"{LOG}{path}").status_code == 401


def test_a_search_that_is_too_long_is_rejected(admin):
    assert admin.get("/api/audit-log?search=" + "%25a" * 20_000).status_code == 400
