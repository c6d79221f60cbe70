"""Collecting runs and schedules from Duplicati servers: what is stored, and the code of each error."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from duplicati_server import (
    BEGAN_AT,
    MACHINE_ID,
    NEW,
    OLD,
    PASSWORD,
    SCHEDULE,
    DuplicatiServer,
    Reply,
    as_json,
    duplicati_server,
    entry,
    job,
    make_certificate,
    message,
)
from sqlalchemy import func, select

from app.audit.log import AuditEntry
from app.backups.models import Job, Run, Server
from app.collector import collecting, reachability
from app.collector.client import Limits
from app.collector.collecting import Caller, Collected
from app.collector.targets import Order
from app.core.db.orm import writing
from app.core.errors import Refused
from app.database import secrets
from app.notifications.models import Delivery

pytestmark = pytest.mark.slow

QUICK = Limits(timeout_s=5.0, answer_s=5.0, answer_bytes=60_000, log_s=10.0, log_bytes=200_000)
IMPATIENT = Limits(timeout_s=0.6, answer_s=0.8, log_s=1.0)
DAY = timedelta(days=1)
ANYBODY = Caller()


@pytest.fixture
def duplicati() -> Iterator[DuplicatiServer]:
    """A fake Duplicati server with plain HTTP."""
    with duplicati_server() as server:
        yield server


@pytest.fixture(scope="session")
def certificate(tmp_path_factory) -> tuple[Path, Path]:
    """A self-signed certificate."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def collect(db, clock) -> Callable[..., Collected]:
    """Collect from a fake server with host and password; `changes` are fields of the request."""

    def run(server: DuplicatiServer, caller: Caller = ANYBODY, limits: Limits = QUICK, **changes: Any) -> Collected:
        usual = {"hostname": "127.0.0.1", "port": server.port, "password": PASSWORD, "scheme": "http"}
        return collecting.collect(Order(**{**usual, **changes}), caller=caller, now=clock(), limits=limits)

    return run


def remember(url: str, password: str = PASSWORD, **values: Any) -> Server:
    """A server whose address and password are stored."""
    with writing() as session:
        usual = {"id": "record-1", "name": "old name", "created_at": BEGAN_AT}
        server = Server(**{**usual, **values}, url=url, encrypted_password=secrets.encrypt(password))
        session.add(server)
    return server


def runs(db) -> list[Run]:
    db.session.commit()
    return list(db.session.scalars(select(Run).order_by(Run.began_at)))


def jobs(db) -> dict[str, Job]:
    db.session.commit()
    found = db.session.scalars(select(Job).execution_options(populate_existing=True))
    return {job.name: job for job in found}


def last_entry(db, action: str) -> AuditEntry:
    db.session.commit()
    return db.session.scalars(
        select(AuditEntry).where(AuditEntry.action == action).order_by(AuditEntry.id.desc())
    ).first()


@pytest.mark.parametrize("generation", [NEW, OLD])
def test_either_generation_returns_server_runs_and_schedules(db, collect, generation):
    with duplicati_server(generation) as server:
        collected = collect(server)
    assert (collected.server_id, collected.server_name) == (MACHINE_ID, "nas-01")
    assert (collected.stored, collected.skipped, collected.problems) == (1, 0, ())
    assert runs(db)[0].began_at == BEGAN_AT.replace(microsecond=123000)
    assert jobs(db)["Photos"].allowed_weekdays == 0b0100110


@pytest.mark.parametrize("generation", [NEW, OLD])
def test_wrong_password_has_its_own_error_and_is_recorded(db, collect, generation):
    with duplicati_server(generation) as server, pytest.raises(Refused, match="Login failed: Unauthorized") as raised:
        collect(server, password="wrong")
    assert (raised.value.status, raised.value.extra) == (500, {"errorCode": "LOGIN"})
    entry = last_entry(db, "backup_collected")
    assert (entry.status, entry.target_id, entry.details["serverName"]) == ("error", "unknown", "unknown")


def test_password_is_never_sent_in_clear_to_the_older_generation(collect):
    with duplicati_server(OLD) as server:
        collect(server)
        sent = [request.body for request in server.requests if request.path == "/login.cgi"]
    assert len(sent) == 2
    assert not any(PASSWORD.encode() in body for body in sent)


def test_values_are_those_of_the_log(db, collect, duplicati):
    collect(duplicati)
    run = runs(db)[0]
    assert (run.duration_s, run.examined_files, run.examined_bytes) == (pytest.approx(242.5765433), 10, 2048)
    assert (run.uploaded_bytes, run.storage_bytes, run.version_count) == (512, 4096, 3)
    assert (run.duplicati_id, run.message_count) == ("3", 1)


def test_duration_of_days_is_read(db, collect, duplicati):
    duplicati.logs["3"] = [entry(message(Duration="1.02:03:04"))]
    collect(duplicati)
    assert runs(db)[0].duration_s == 93784


def test_success_with_warnings_is_a_warning_and_an_exception_is_no_error(db, collect, duplicati):
    duplicati.logs["3"] = [entry(message(WarningsActualLength=2, Exception="System.Exception: no"))]
    collect(duplicati)
    assert (runs(db)[0].status, runs(db)[0].error_count) == ("Warning", 0)


def test_known_runs_are_skipped_without_notification(db, collect, duplicati):
    duplicati.logs["3"] = [entry(message(BEGAN_AT + n * DAY, ParsedResult="Error")) for n in (2, 1, 0)]
    assert collect(duplicati).stored == 3
    again = collect(duplicati)
    assert (again.stored, again.skipped) == (0, 3)
    assert jobs(db)["Photos"].recent_statuses == "EEE"
    assert db.session.scalar(select(func.count()).select_from(Delivery)) == 0


def test_entries_that_are_no_backups_are_skipped(db, collect, duplicati):
    others = [entry("no JSON"), entry(message(MainOperation="Restore")), {"Message": None}, "nothing"]
    duplicati.logs["3"] = [*others, entry(message())]
    collected = collect(duplicati)
    assert (collected.stored, collected.error_count) == (1, 0)


def test_invalid_entry_is_counted_with_its_reason_and_affects_no_other(db, collect, duplicati):
    bad = [entry(message(BEGAN_AT - DAY, Duration="soon")), entry(message(BEGAN_AT - 2 * DAY, BeginTime=None))]
    duplicati.logs["3"] = [entry(message()), *bad, entry(message(BEGAN_AT - 3 * DAY))]
    collected = collect(duplicati)
    assert (collected.stored, collected.error_count) == (2, 2)
    assert collected.problems[0].startswith("Photos: Data.Duration is not a duration")
    audited = last_entry(db, "backup_collected")
    assert (audited.status, audited.details["errors"]) == ("error", 2)
    assert "Data.Duration" in audited.error_message


def test_unavailable_log_affects_only_its_job(db, collect, duplicati):
    duplicati.logs["4"] = [entry(message(BEGAN_AT + DAY))]
    duplicati.replies["/3/log"] = Reply(500, b"<html>oops</html>")
    collected = collect(duplicati)
    assert (collected.stored, collected.problems) == (1, ("Photos: Failed to get the log: Internal Server Error",))
    assert jobs(db)["Photos"].expected_interval == "1D"


def test_silent_server_is_not_requested_for_every_log(collect, duplicati):
    duplicati.jobs = [job(str(number), f"job {number}") for number in range(9)]
    duplicati.replies["/log"] = Reply(pause_s=5)
    collected = collect(duplicati, limits=IMPATIENT)
    assert collected.error_count == 9
    assert sum("/log?" in path for path in duplicati.paths()) == reachability.SILENCES_ALLOWED


@pytest.mark.slow
def test_log_too_large_for_one_page_is_read_in_smaller_pages(db, collect, duplicati):
    duplicati.logs["3"] = hourly(500)
    collected = collect(duplicati)
    assert (collected.stored, collected.error_count) == (500, 0)
    assert [request.path.partition("?")[2] for request in duplicati.requests if "/3/log?" in request.path] == [
        "pagesize=500",
        "pagesize=250",
        "pagesize=250&offset=251",
        "pagesize=250&offset=1",
    ]


def hourly(count: int) -> list[dict[str, Any]]:
    """Return a log of so many hourly runs, newest first."""
    hour = timedelta(hours=1)
    return [entry(message(BEGAN_AT - n * hour), count - n) for n in range(count)]


def offsets(duplicati: DuplicatiServer) -> list[str]:
    """Return the requested pages of the log."""
    return [request.path.partition("offset=")[2] for request in duplicati.requests if "/3/log?" in request.path]


@pytest.mark.slow
def test_log_of_720_entries_is_read_whole_each_time(db, collect, duplicati):
    duplicati.logs["3"] = hourly(720)
    assert (collect(duplicati, limits=Limits()).stored, offsets(duplicati)) == (720, ["", "221", "1"])
    duplicati.requests.clear()
    again = collect(duplicati, limits=Limits())
    assert (again.stored, again.skipped, offsets(duplicati)) == (0, 720, ["", "221", "1"])
    assert jobs(db)["Photos"].run_count == 720


@pytest.mark.parametrize("largest", [99, 50, 10])
def test_server_with_smaller_pages_is_read_completely(db, collect, duplicati, largest):
    duplicati.logs["3"] = [{**each, "ID": str(each["ID"])} for each in hourly(100)]
    duplicati.largest_page = largest
    assert collect(duplicati).stored == 100


def test_missing_runs_older_than_known_ones_are_found(db, collect, duplicati):
    """Reports have stored the newest page, and one run that is older than the log."""
    log, duplicati.largest_page = hourly(60), 50
    duplicati.logs["3"] = [*log[:50], entry(message(BEGAN_AT - 60 * DAY), 0)]
    assert collect(duplicati).stored == 51
    duplicati.logs["3"] = log
    assert collect(duplicati).stored == 10


@pytest.mark.slow
def test_an_interrupted_collection_continues_with_the_older_page(db, collect, duplicati):
    duplicati.logs["3"] = hourly(720)
    duplicati.replies["offset=221"] = Reply(500)
    first = collect(duplicati, limits=Limits())
    assert (first.stored, first.problems) == (500, ("Photos: Failed to get the log: Internal Server Error",))
    duplicati.replies.clear()
    again = collect(duplicati, limits=Limits())
    assert (again.stored, again.skipped) == (220, 500)


def test_pages_of_other_operations_are_skipped(db, collect, duplicati):
    listings = [entry(message(MainOperation="ListFilesets"), 1000 - n) for n in range(600)]
    duplicati.logs["3"] = [*listings, entry(message(), 1)]
    assert collect(duplicati, limits=Limits()).stored == 1
    assert collect(duplicati, limits=Limits()).skipped == 1


@pytest.mark.slow
def test_server_that_repeats_its_page_is_not_read_forever(db, collect, duplicati):
    duplicati.logs["3"] = hourly(720)
    duplicati.ignores_offset = True
    assert (collect(duplicati, limits=Limits()).stored, len(offsets(duplicati))) == (500, 2)


def test_log_too_large_in_any_page_is_reported(collect, duplicati):
    duplicati.logs["3"] = [entry(message(Messages=["x" * 300_000]))]
    assert collect(duplicati).problems == ("Photos: The log is too large to be read",)


def test_schedule_is_stored_and_notification_settings_are_kept(db, collect, duplicati):
    duplicati.logs["3"] = [entry(message())]
    collect(duplicati)
    with writing():
        jobs(db)["Photos"].notification_event = "off"
    duplicati.jobs[0] = job("3", "Photos", {**SCHEDULE, "Repeat": "12h", "Rule": "AllowedWeekDays=sat, sun,Never"})
    collect(duplicati)
    found = jobs(db)["Photos"]
    assert (found.expected_interval, found.allowed_weekdays, found.notification_event) == ("12h", 0b1000001, "off")
    assert (found.schedule_anchor_at, found.schedule_source) == (datetime(2031, 5, 5, 2, tzinfo=UTC), "duplicati")


@pytest.mark.parametrize("rule", [None, "", "AllowedWeekDays=", "AllowedWeekDays=Someday", 7])
def test_rule_without_days_allows_all(db, collect, duplicati, rule):
    duplicati.jobs[0] = job("3", "Photos", {**SCHEDULE, "Rule": rule, "Time": "0001-01-01T00:00:00Z", "Repeat": ""})
    collect(duplicati)
    found = jobs(db)["Photos"]
    assert (found.allowed_weekdays, found.expected_interval, found.schedule_source) == (0b1111111, "", "guess")


def test_new_server_is_stored_with_its_credentials(db, collect, duplicati):
    collect(duplicati)
    server = db.session.get_one(Server, MACHINE_ID)
    assert (server.name, server.url, server.alias) == ("nas-01", duplicati.url, "")
    assert secrets.decrypt(server.encrypted_password) == PASSWORD
    assert last_entry(db, "server_added").details == {"serverName": "nas-01", "serverUrl": duplicati.url}
    assert server.collected_at is not None


def test_the_requested_server_gets_the_runs(db, collect, duplicati):
    remember(f"{duplicati.url}/ui/", alias="cellar")
    collected = collect(duplicati, server_id="record-1", hostname="", password="")
    assert (collected.server_id, collected.server_alias, collected.stored) == ("record-1", "cellar", 1)
    server = db.session.get_one(Server, "record-1")
    assert (server.name, server.url) == ("old name", f"{duplicati.url}/ui/")
    assert db.session.get(Server, MACHINE_ID) is None


def test_a_server_with_the_name_of_another_is_kept_apart(db, collect, duplicati):
    remember("", name="nas-01")
    assert collect(duplicati).server_id == MACHINE_ID


def test_only_administrators_change_the_address_of_a_server(db, collect, duplicati):
    remember("http://127.0.0.2:1", password="other")
    order = {"server_id": "record-1"}
    collect(duplicati, Caller(may_change=False), **order)
    server = db.session.get_one(Server, "record-1", populate_existing=True)
    assert (server.url, secrets.decrypt(server.encrypted_password)) == ("http://127.0.0.2:1", "other")
    collect(duplicati, **order)
    server = db.session.get_one(Server, "record-1", populate_existing=True)
    assert (server.url, secrets.decrypt(server.encrypted_password)) == (duplicati.url, PASSWORD)


def test_limited_account_collects_from_its_servers_only(db, collect, duplicati):
    remember(duplicati.url)
    with pytest.raises(Refused, check=lambda error: error.status == 403, match="selected servers only"):
        collect(duplicati, Caller(visible_server_ids=frozenset({"record-1"})))
    with pytest.raises(Refused, check=lambda error: error.status == 404):
        collect(duplicati, Caller(visible_server_ids=frozenset()), server_id="record-1")
    assert runs(db) == []
    assert collect(duplicati, Caller(visible_server_ids=frozenset({"record-1"})), server_id="record-1").stored == 1


def test_server_without_jobs_is_stored_and_not_audited(db, collect, duplicati):
    duplicati.jobs = []
    assert not collect(duplicati).has_jobs
    assert db.session.get(Server, MACHINE_ID) is not None
    assert last_entry(db, "backup_collected") is None


def test_machine_id_is_read_from_the_settings_of_newer_servers(collect, duplicati):
    duplicati.machine_id, duplicati.settings = None, {"--machine-id": "from-settings"}
    assert collect(duplicati).server_id == "from-settings"
    assert "GET /api/v1/serversettings" in duplicati.paths()


def test_document_contains_everything_received_without_secrets(collect, duplicati):
    duplicati.logs["3"] = [entry(message()), entry(message(MainOperation="Restore"))]
    document = json.loads(collect(duplicati, keeps_document=True).document)
    system = document["system_info"]
    assert (system["MachineName"], system["ServerVersion"]) == ("nas-01", "1.0.0.0")
    assert [(option["Name"], option["DefaultValue"]) for option in system["Options"]] == [("machine-id", MACHINE_ID)]
    assert not [name for name in system if name.endswith("Modules")]
    assert document["backups"][0]["Backup"]["TargetURL"] == "s3:***--REDACTED--***"
    assert [len(log["messages"]) for log in document["backup_logs"]] == [1, 0]
    assert document["backup_logs"][0]["messages"][0]["Message"]["MainOperation"] == "Backup"


@pytest.mark.parametrize(
    ("replies", "reason", "words"),
    [
        ({"/login": Reply(302, b"", {"Location": "http://127.0.0.2:9/"})}, "REDIRECT", "sends the login on"),
        ({"/login": Reply(200, b"<html>hello</html>")}, "NOT_DUPLICATI", "no Duplicati (status 200)"),
        ({"/login": Reply(503, b'{"a": 1}')}, "NOT_DUPLICATI", "no Duplicati (status 503)"),
        ({"/login": Reply(401, b"<html>proxy</html>")}, "NOT_DUPLICATI", "no Duplicati (status 401)"),
        ({"/login": Reply(pause_s=3)}, "TIMEOUT", "No response within 0.6 seconds"),
        ({"/login": Reply(hangs_up=True)}, "BROKEN_OFF", "The connection was interrupted"),
        ({"/login": as_json({"Hello": 1})}, "NO_TOKEN", "No authentication token received"),
        ({"/login": as_json({"AccessToken": "a\nb"})}, "NO_TOKEN", "No authentication token received"),
        ({"/systeminfo": Reply(200, b"")}, "ANSWER", "Failed to get the facts about the server: the response is empty"),
        ({"/systeminfo": Reply(403, b"{}")}, "ANSWER", "Failed to get the facts about the server: Forbidden"),
        ({"/systeminfo": Reply(302, b"", {"Location": "/"})}, "ANSWER", "the facts about the server: Found"),
        ({"/backups": Reply(200, b'[{"Backup": {"ID"')}, "ANSWER", "jobs: the response is empty or not"),
        (
            {"/backups": Reply(200, b"[{", {"Content-Length": "9", "Connection": "close"})},
            "BROKEN_OFF",
            "list of backup jobs failed",
        ),
        ({"/backups": Reply(pause_s=3)}, "TIMEOUT", "The request for the list of backup jobs failed: No response"),
        (
            {"/backups": Reply(body=b" " * 900, pieces=9, pause_s=0.15)},
            "TIMEOUT",
            "list of backup jobs failed: No response",
        ),
        ({"/backups": Reply(body=b" " * 90_000)}, "TOO_LARGE", "the response is too large"),
        (
            {"/systeminfo": as_json({"MachineName": "x"}), "/serversettings": Reply(404)},
            None,
            "The Duplicati server did not return its options, so its machine id is unknown",
        ),
        (
            {"/systeminfo": as_json({"MachineName": "x", "Options": []})},
            None,
            "The Duplicati server did not return its machine id",
        ),
        ({"/systeminfo": as_json({"Options": [{"Name": "machine-id", "DefaultValue": "i"}]})}, None, "machine name"),
        ({"/systeminfo": as_json([1])}, None, "The Duplicati server returned no readable system information"),
        ({"/backups": as_json({"Error": "x"})}, None, "The Duplicati server did not return its backup jobs"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_error_has_its_own_message(db, collect, duplicati, replies, reason, words):
    duplicati.replies = replies
    with pytest.raises(Refused) as raised:
        collect(duplicati, limits=IMPATIENT if reason == "TIMEOUT" else QUICK)
    assert words in raised.value.message
    assert (raised.value.status, raised.value.extra.get("errorCode")) == (500, reason)
    assert PASSWORD not in raised.value.message
    assert last_entry(db, "backup_collected").details["error"] == raised.value.message
    assert runs(db) == []


def test_closed_port_is_reported(collect, duplicati):
    duplicati.stop()
    with pytest.raises(Refused, match="Connection refused; check the port") as raised:
        collect(duplicati)
    assert raised.value.extra["errorCode"] == "REFUSED"
    duplicati.__init__()
    duplicati.start()


def test_login_is_never_sent_after_a_redirect(collect, duplicati):
    with duplicati_server() as elsewhere:
        duplicati.replies["/login"] = Reply(307, b"", {"Location": f"{elsewhere.url}/api/v1/auth/login"})
        with pytest.raises(Refused, match="another address"):
            collect(duplicati)
        assert elsewhere.requests == []


def test_https_is_tried_first_and_no_password_is_sent_in_clear(collect, duplicati):
    with pytest.raises(Refused) as raised:
        collect(duplicati, scheme="")
    lines = raised.value.message.splitlines()
    assert lines[1].startswith("HTTPS: No encrypted connection")
    assert lines[2].startswith("HTTP: A Duplicati answers there without encryption")
    assert all(PASSWORD.encode() not in request.body for request in duplicati.requests)


def test_self_signed_certificate_is_rejected_unless_the_check_is_off(db, collect, certificate):
    with duplicati_server(certificate=certificate) as server:
        with pytest.raises(Refused, match="certificate is not trusted") as raised:
            collect(server, scheme="")
        assert (raised.value.extra["errorCode"], server.requests) == ("CERTIFICATE", [])
        assert collect(server, scheme="https", verifies_certificate=False).stored == 1
        record = db.session.get_one(Server, MACHINE_ID)
        assert (record.url, record.verifies_certificate) == (server.url, False)
        assert collect(server, server_id=MACHINE_ID, hostname="", password="").skipped == 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"days": -1}, "certificate has expired"), ({"address": "127.0.0.9"}, "certificate is one for another host name")],
    ids=["expired", "name"],
)
def test_certificate_error_is_reported(collect, tmp_path, monkeypatch, wrong, words):
    files = make_certificate(tmp_path, **wrong)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(files[0]))
    with duplicati_server(certificate=files) as server, pytest.raises(Refused, match=words) as raised:
        collect(server, scheme="https")
    assert (raised.value.extra["errorCode"], server.requests) == ("CERTIFICATE", [])


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[fe80::1]", "0.0.0.0", "224.0.0.1", "100.100.100.200", "2852039166", "0xa9.0376.43518"]
)
def test_forbidden_addresses_are_not_requested(db, collect, duplicati, host):
    with pytest.raises(Refused, match="which is not allowed") as raised:
        collect(duplicati, hostname=host)
    assert raised.value.status == 400
    assert last_entry(db, "backup_collected") is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hostname": " "}, "A host name is required"),
        ({"password": ""}, "A password is required"),
        ({"hostname": "a b"}, "Invalid host name or port"),
        ({"hostname": "ftp://nas"}, "Invalid host name or port"),
        ({"port": 70000}, "Invalid host name or port"),
    ],
)
def test_invalid_requests_are_rejected(collect, duplicati, changes, words):
    with pytest.raises(Refused, match=words) as raised:
        collect(duplicati, **changes)
    assert raised.value.status == 400


def test_servers_that_cannot_be_collected_from(db, collect, duplicati):
    asked = {"server_id": "record-1", "hostname": "", "password": ""}
    with pytest.raises(Refused, check=lambda error: error.status == 404, match="Server not found"):
        collect(duplicati, **asked)
    server = remember("")
    with pytest.raises(Refused, match="Invalid server URL format"):
        collect(duplicati, **asked)
    with writing():
        server.encrypted_password = ":".join(("0" * 64, "0" * 24, "0" * 32, "00"))
    with pytest.raises(Refused, match="master key") as raised:
        collect(duplicati, **asked)
    assert (raised.value.status, raised.value.extra) == (400, {"masterKeyInvalid": True})
    with writing():
        server.encrypted_password = ""
    with pytest.raises(Refused, check=lambda error: error.status == 404, match="No password") as raised:
        collect(duplicati, **asked)
    assert raised.value.extra["serverInfo"]["hasPassword"] is False


def test_failure_is_stored_until_the_next_success(db, collect, duplicati):
    remember(duplicati.url)
    duplicati.replies["/backups"] = Reply(500)
    asked = {"server_id": "record-1", "hostname": "", "password": ""}
    with pytest.raises(Refused):
        collect(duplicati, **asked)
    server = db.session.get_one(Server, "record-1", populate_existing=True)
    assert (server.collect_error, server.collected_at) == (
        "Failed to get the list of backup jobs: Internal Server Error",
        None,
    )
    duplicati.replies.clear()
    collect(duplicati, **asked)
    server = db.session.get_one(Server, "record-1", populate_existing=True)
    assert server.collect_error is None
    assert server.collected_at is not None


def test_collecting_only_schedules_changes_nothing_else(db, clock, duplicati):
    remember(duplicati.url)
    order = Order(server_id="record-1")
    result = collecting.synchronise(order, caller=ANYBODY, now=clock(), limits=QUICK)
    assert (result.server_name, result.scheduled_count, result.problems) == ("nas-01", 1, ())
    assert (runs(db), jobs(db)["Photos"].expected_interval) == ([], "1D")
    assert db.session.get_one(Server, "record-1", populate_existing=True).name == "old name"
    assert last_entry(db, "backup_schedule_synced").details == {"serverName": "nas-01", "processed": 1, "errors": 0}


def test_schedules_of_an_unknown_server_are_not_stored(db, clock, duplicati):
    order = Order(hostname="127.0.0.1", port=duplicati.port, password=PASSWORD, scheme="http")
    result = collecting.synchronise(order, caller=ANYBODY, now=clock(), limits=QUICK)
    assert (result.scheduled_count, len(result.problems)) == (0, 2)
    assert "not known yet" in result.problems[0]
    assert db.session.get(Server, MACHINE_ID) is None
