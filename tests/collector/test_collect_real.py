"""Collecting from a real Duplicati: host names, identities, running jobs, synchronisations, tokens."""

import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from duplicati_server import (
    BEGAN_AT,
    MACHINE_ID,
    NEW,
    OLD,
    PASSWORD,
    SCHEDULE,
    V2_1,
    V2_2,
    DuplicatiServer,
    Reply,
    as_json,
    duplicati_server,
    entry,
    job,
    make_certificate,
    message,
    recording,
)
from sqlalchemy import select

from app.audit.log import Actor, AuditEntry
from app.backups import job_stats
from app.backups.models import Job, Run, Server
from app.collector import batches, collecting, job_logs
from app.collector.client import Limits
from app.collector.collecting import Caller, Collected
from app.collector.reachability import try_connection
from app.collector.targets import Order
from app.core.db.orm import writing
from app.core.errors import Refused
from app.core.instants import iso
from app.database import secrets
from app.reports.ingest import DuplicateReport, ingest_report
from app.reports.parser import Figure, Format, Report
from app.runtime import runtime_of

pytestmark = pytest.mark.slow

NAME = "nas.lan"
REMEDY = f"rejects the host name {NAME}: allow it with --webservice-allowed-hostnames"
ONE_DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def duplicati() -> Iterator[DuplicatiServer]:
    """A fake server of the newest Duplicati, with plain HTTP."""
    with duplicati_server() as server:
        yield server


@pytest.fixture
def resolve(monkeypatch) -> Callable[..., None]:
    """Let a name resolve to addresses, one for each look-up, and the last one from then on."""
    real = socket.getaddrinfo

    def resolve(name: str, *addresses: str) -> None:
        left = list(addresses)

        def look_up(host: Any, *arguments: Any, **options: Any) -> Any:
            if host == name:
                host = left.pop(0) if len(left) > 1 else left[0]
            return real(host, *arguments, **options)

        monkeypatch.setattr(socket, "getaddrinfo", look_up)

    return resolve


@pytest.fixture
def collect(db, clock) -> Callable[..., Collected]:
    """Collect from a fake server with host and password; `changes` are fields of the request."""

    def run(server: DuplicatiServer, caller: Caller | None = None, limits: Limits | None = None, **changes: Any):
        usual = {"hostname": "127.0.0.1", "port": server.port, "password": PASSWORD, "scheme": "http"}
        order = Order(**{**usual, **changes})
        return collecting.collect(order, caller=caller or Caller(), now=clock(), limits=limits or Limits())

    return run


@pytest.fixture
def clear_remembered(app) -> Callable[[], None]:
    """Clear what the application remembers of jobs, as after a restart."""
    runtime_of(app).take(job_logs.KnownOwners)
    return lambda: runtime_of(app).take(job_logs.KnownOwners)


def runs(db, **values: Any) -> list[Run]:
    db.session.commit()
    wanted = select(Run).order_by(Run.began_at).execution_options(populate_existing=True)
    return list(db.session.scalars(wanted.filter_by(**values)))


def job_of(db, name: str = "Photos", server_id: str = MACHINE_ID) -> Job | None:
    db.session.commit()
    wanted = select(Job).where(Job.server_id == server_id, Job.name == name)
    return db.session.scalars(wanted.execution_options(populate_existing=True)).first()


def servers(db) -> dict[str, str]:
    db.session.commit()
    return {server.id: server.name for server in db.session.scalars(select(Server))}


def sent(server: DuplicatiServer, end: str) -> int:
    """Return how many requests were sent to a path."""
    return sum(request.path.partition("?")[0].endswith(end) for request in server.requests)


def remember(url: str, **values: Any) -> None:
    usual = {"id": MACHINE_ID, "name": "nas", "created_at": BEGAN_AT, "encrypted_password": secrets.encrypt(PASSWORD)}
    with writing() as session:
        session.add(Server(**{**usual, **values}, url=url))


@pytest.mark.parametrize("generation", [NEW, V2_2, V2_1, OLD])
class TestHostName:
    def test_a_rejected_name_is_retried_by_address(self, db, collect, resolve, generation):
        resolve(NAME, "127.0.0.1")
        with duplicati_server(generation) as server:
            assert collect(server, hostname=NAME).stored == 1
            hosts = [request.headers["host"] for request in server.requests]
        assert hosts[0] == f"{NAME}:{server.port}"
        assert set(hosts[1:]) == {f"127.0.0.1:{server.port}"}

    def test_the_connection_test_and_the_start_of_jobs_use_the_address_too(self, db, clock, resolve, generation):
        resolve(NAME, "127.0.0.1")
        with duplicati_server(generation) as server:
            url = f"http://{NAME}:{server.port}"
            assert try_connection(url).is_success
            remember(url)
            with writing() as session:
                session.add(Job(server_id=MACHINE_ID, name="Photos", created_at=clock()))
            collecting.start_job(MACHINE_ID, "Photos", actor=Actor(), now=clock())
            assert server.started == ["3"]

    def test_if_the_address_is_rejected_too_the_solution_is_shown(self, collect, resolve, generation, monkeypatch):
        resolve(NAME, "127.0.0.1")
        with duplicati_server(generation) as server:
            monkeypatch.setattr(server, "_accepts_host", lambda request: False)
            with pytest.raises(Refused, match=REMEDY) as raised:
                collect(server, hostname=NAME)
            assert raised.value.extra["errorCode"] == "HOST_NAME"
            assert REMEDY in try_connection(f"http://{NAME}:{server.port}").message


def test_name_rejected_only_after_the_login_is_retried_by_address(db, collect, resolve, duplicati, monkeypatch):
    resolve(NAME, "127.0.0.1")
    duplicati.checks_host_at_login = False
    assert collect(duplicati, hostname=NAME).stored == 1
    monkeypatch.setattr(duplicati, "_accepts_host", lambda request: False)
    with pytest.raises(Refused, match=REMEDY) as raised:
        collect(duplicati, hostname=NAME)
    assert raised.value.extra["errorCode"] == "HOST_NAME"


def test_name_that_is_allowed_is_used(db, collect, resolve, duplicati):
    resolve(NAME, "127.0.0.1")
    duplicati.allowed_hostnames = {NAME}
    collect(duplicati, hostname=NAME)
    assert {request.headers["host"] for request in duplicati.requests} == {f"{NAME}:{duplicati.port}"}


def test_other_responses_to_the_address_keep_the_solution(db, collect, resolve, duplicati, monkeypatch):
    """A proxy that only knows the name returns the page of another site."""
    resolve(NAME, "127.0.0.1")
    answer = duplicati._answer

    def by_name(request, path):
        is_numeric = request.headers["host"].startswith("127.")
        return Reply(200, b"<html>") if is_numeric else answer(request, path)

    monkeypatch.setattr(duplicati, "_answer", by_name)
    with pytest.raises(Refused, match=REMEDY):
        collect(duplicati, hostname=NAME)


def test_certificate_is_checked_against_the_name(db, collect, resolve, tmp_path, monkeypatch):
    resolve(NAME, "127.0.0.1")
    files = make_certificate(tmp_path, NAME)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(files[0]))
    with duplicati_server(certificate=files) as server:
        assert collect(server, hostname=NAME, scheme="https").stored == 1
        assert server.requests[-1].headers["host"] == f"127.0.0.1:{server.port}"
        with pytest.raises(Refused, match="another host name"):
            collect(server, scheme="https")


def test_name_that_resolves_elsewhere_later_is_not_followed(db, collect, resolve, duplicati):
    """Two look-ups for the login, by the guard and for the connection; what follows is another connection."""
    duplicati.replies["/login"] = as_json({"Error": f"Invalid hostname: {NAME}", "Code": 403}, 403)
    duplicati.replies["/login"].headers["Connection"] = "close"
    resolve(NAME, "127.0.0.1", "127.0.0.1", "127.0.0.1", "169.254.169.254")
    with pytest.raises(Refused, match="which is not allowed") as raised:
        collect(duplicati, hostname=NAME)
    assert raised.value.extra["errorCode"] == "FORBIDDEN_ADDRESS"
    assert len(duplicati.requests) == 1


class TestIdentity:
    def test_settings_of_the_server_take_precedence(self, db, collect, duplicati):
        duplicati.settings = {"--machine-id": "chosen-id-1", "--machine-name": "Büro PC"}
        collect(duplicati)
        assert servers(db) == {"chosen-id-1": "Büro PC"}

    def test_name_of_the_option_precedes_that_of_the_container(self, db, collect, duplicati):
        info = duplicati._system_info()
        duplicati.replies["/systeminfo"] = as_json({**info, "MachineName": "3f2a9c1b7d11"})
        collect(duplicati)
        assert servers(db) == {MACHINE_ID: "nas-01"}

    @pytest.mark.parametrize("chosen", [{}, {"--machine-name": "another"}])
    def test_nothing_is_renamed(self, db, collect, duplicati, chosen):
        remember("", name="reported")
        duplicati.settings = chosen
        assert collect(duplicati).server_name == "reported"
        assert servers(db) == {MACHINE_ID: "reported"}

    def test_empty_id_keeps_the_name(self, db, collect, duplicati):
        duplicati.settings = {"--machine-id": ""}
        remember("", id="other", name="nas-01")
        assert collect(duplicati).server_id == "other"
        assert servers(db) == {"other": "nas-01"}

    def test_empty_id_and_name_keep_the_default_name(self, db, collect, duplicati):
        duplicati.settings = {"--machine-id": "", "--machine-name": ""}
        assert collect(duplicati).server_id == "name:nas-01"

    def test_job_with_its_own_id_belongs_to_that_server(self, db, collect, duplicati):
        duplicati.settings = {"--machine-id": "chosen"}
        duplicati.job_settings = {"3": {"--machine-id": "own", "--machine-name": "Own name"}}
        duplicati.logs["4"] = [entry(message(BEGAN_AT + ONE_DAY))]
        assert collect(duplicati).stored == 2
        assert servers(db) == {"chosen": "nas-01", "own": "Own name"}
        assert (job_of(db, "Photos", "own").expected_interval, job_of(db, "Photos", "chosen")) == ("1D", None)
        assert job_of(db, "No schedule", "chosen").run_count == 1
        again = collect(duplicati)
        assert (again.stored, again.skipped) == (0, 2)

    def test_job_with_its_own_name_is_kept(self, db, collect, duplicati):
        duplicati.job_settings = {"3": {"--machine-name": "Own name"}}
        collect(duplicati)
        assert servers(db) == {MACHINE_ID: "nas-01"}

    def test_job_settings_are_requested_only_before_new_runs(self, db, collect, duplicati):
        duplicati.jobs = [job(str(number), f"job {number}") for number in range(9)]
        duplicati.logs = {str(number): [entry(message())] for number in range(9)}
        collect(duplicati)
        assert sent(duplicati, "/backup/5") == 1
        collect(duplicati)
        assert sent(duplicati, "/backup/5") == 1
        duplicati.logs["5"].insert(0, entry(message(BEGAN_AT + ONE_DAY), 2))
        collect(duplicati)
        assert (sent(duplicati, "/backup/5"), sent(duplicati, "/backup/6")) == (2, 1)

    def test_job_with_unavailable_settings_waits(self, db, collect, clear_remembered, duplicati):
        """Its runs may belong to another server."""
        duplicati.replies["/backup/3"] = Reply(500)
        collected = collect(duplicati)
        assert (collected.stored, job_of(db)) == (0, None)
        assert collected.problems == ("Photos: Failed to get the settings of the job: Internal Server Error",)

    @pytest.mark.parametrize(
        "reply",
        [Reply(503), as_json({"Backup": {"Settings": [{"Name": "--machine-name", "Value": "x" * 999}]}})],
    )
    def test_job_with_unusable_settings_waits(self, db, collect, clear_remembered, duplicati, reply):
        duplicati.replies["/backup/3"] = reply
        assert (collect(duplicati).stored, job_of(db)) == (0, None)

    @pytest.mark.parametrize("reply", [Reply(400), Reply(403), Reply(404), Reply(405), Reply(501), Reply(200, b"{}")])
    def test_server_without_job_settings_has_none(self, db, collect, clear_remembered, duplicati, reply):
        duplicati.replies["/backup/3"] = reply
        collected = collect(duplicati)
        assert (collected.stored, collected.problems) == (1, ())

    def test_stored_runs_name_the_server_if_settings_are_unavailable(self, db, collect, clear_remembered, duplicati):
        duplicati.job_settings = {"3": {"--machine-id": "own"}}
        collect(duplicati)
        clear_remembered()
        duplicati.replies["/backup/3"] = Reply(500)
        duplicati.logs["3"].insert(0, entry(message(BEGAN_AT + ONE_DAY), 2))
        collected = collect(duplicati)
        assert (collected.stored, collected.problems) == (1, ())
        assert (job_of(db), job_of(db, "Photos", "own").run_count) == (None, 2)

    @pytest.mark.parametrize("is_restarted", [False, True])
    def test_earlier_runs_are_not_moved_when_a_job_gets_its_own_id(
        self, db, collect, clear_remembered, duplicati, is_restarted
    ):
        collect(duplicati)
        duplicati.job_settings = {"3": {"--machine-id": "own"}}
        duplicati.logs["3"].insert(0, entry(message(BEGAN_AT + ONE_DAY), 2))
        assert (collect(duplicati).stored, collect(duplicati).stored) == (1, 0)
        if is_restarted:
            clear_remembered()
        duplicati.logs["3"].insert(0, entry(message(BEGAN_AT + 2 * ONE_DAY), 3))
        again = collect(duplicati)
        assert (again.stored, again.skipped) == (1, 2)
        assert (job_of(db).run_count, job_of(db, "Photos", "own").run_count) == (1, 2)

    def test_settings_of_a_job_of_duplicati_2_0_are_read(self, db, collect, clear_remembered):
        with duplicati_server(OLD) as server:
            server.job_settings = {"3": {"--machine-id": "own"}}
            collect(server)
        assert set(servers(db)) == {MACHINE_ID, "own"}

    def test_silent_server_is_not_requested_for_the_settings_of_every_job(self, db, collect, duplicati):
        duplicati.jobs = [job(str(number), f"job {number}", SCHEDULE) for number in range(9)]
        duplicati.replies["/log"] = Reply(500)
        duplicati.replies |= {f"/backup/{number}": Reply(pause_s=1) for number in range(9)}
        collect(duplicati, limits=Limits(timeout_s=0.3, answer_s=0.3))
        assert sum(sent(duplicati, f"/backup/{number}") for number in range(9)) == 2

    @pytest.mark.parametrize(
        ("own", "planned", "words"),
        [
            ({}, 1, ()),  # the id was removed
            ({"--machine-id": "own"}, 0, ("Photos: its server is not known yet",)),
        ],
    )
    def test_missing_server_of_a_job_is_requested_again(self, db, clock, collect, duplicati, own, planned, words):
        duplicati.job_settings = {"3": {"--machine-id": "own"}}
        collect(duplicati)
        with writing() as session:
            session.delete(session.get_one(Server, "own"))
            session.get_one(Server, MACHINE_ID).url = duplicati.url
        duplicati.job_settings = {"3": own}
        result = collecting.synchronise(Order(server_id=MACHINE_ID), caller=Caller(), now=clock())
        assert (result.scheduled_count, tuple(problem.partition(";")[0] for problem in result.problems)) == (
            planned,
            words,
        )

    def test_schedule_of_an_unknown_server_is_a_problem(self, db, collect, duplicati):
        duplicati.job_settings, duplicati.logs = {"3": {"--machine-id": "own"}, "4": {"--machine-id": "own"}}, {}
        problems = collect(duplicati).problems
        assert [problem.partition(";")[0] for problem in problems] == ["Photos: its server is not known yet"]
        assert list(servers(db)) == [MACHINE_ID]

    def test_hidden_server_gets_nothing(self, db, collect, duplicati):
        remember(duplicati.url)
        duplicati.job_settings = {"3": {"--machine-id": "own"}}
        collected = collect(duplicati, Caller(visible_server_ids=frozenset({MACHINE_ID})), server_id=MACHINE_ID)
        assert (collected.stored, len(collected.problems)) == (0, 1)
        assert list(servers(db)) == [MACHINE_ID]


def mirror(**metadata: str) -> dict[str, Any]:
    """Return a job that synchronises."""
    return job("4", "Mirror", SCHEDULE, operation="Sync", **metadata)


DONE = {
    "LastSyncStarted": "20310504T020003Z",
    "LastSyncFinished": "20310504T020009Z",
    "LastSyncDuration": "00:00:05.9370661",
}
FAILED = {"LastErrorDate": "20310504T030000Z", "LastErrorMessage": "The folder /data/d3 does not exist"}


def sync_report(began_at: datetime = BEGAN_AT + timedelta(milliseconds=275), **changes: Any) -> Report:
    """Return the report of a synchronisation, as it is uploaded."""
    usual = {
        "server_id": MACHINE_ID,
        "server_name": "nas-01",
        "job_name": "Mirror",
        "duplicati_id": "DB-4",
        "main_operation": "Sync",
        "began_at": began_at,
        "ended_at": began_at + 6 * SECOND,
        "duration_s": 6.0,
        "status": "Success",
        "parsed_result": "Success",
        "examined_files": 3,
    }
    return Report(**{**usual, **changes})


class TestSync:
    def test_last_synchronisation_becomes_a_run_once(self, db, collect, duplicati):
        duplicati.jobs = [mirror(**DONE)]
        first, again = collect(duplicati), collect(duplicati)
        assert (first.stored, first.problems, again.stored, again.skipped) == (1, (), 0, 1)
        run = runs(db)[0]
        assert (run.began_at, run.ended_at, run.duration_s) == (BEGAN_AT, BEGAN_AT + 6 * SECOND, 5.9370661)
        assert (run.main_operation, run.status, run.format) == ("Sync", "Success", Format.METADATA)
        assert job_of(db, "Mirror").operation == "Sync"
        assert sent(duplicati, "/4/log") == 0

    def test_newer_error_is_a_failure_once(self, db, collect, duplicati):
        duplicati.jobs = [mirror(**DONE, **FAILED)]
        assert (collect(duplicati).stored, collect(duplicati).stored) == (2, 0)
        assert [run.status for run in runs(db)] == ["Success", "Fatal"]
        assert job_of(db, "Mirror").state_error_count == 1
        assert job_of(db, "Mirror").collected_error is None

    def test_older_error_is_ignored(self, db, collect, duplicati):
        duplicati.jobs = [mirror(**DONE, **{**FAILED, "LastErrorDate": "20310504T010000Z"})]
        assert collect(duplicati).stored == 1

    @pytest.mark.parametrize(
        "metadata", [{}, {"LastSyncStarted": "20310504T020003Z"}, {**DONE, "LastSyncFinished": "soon"}]
    )
    def test_job_without_runs_has_no_run_and_no_error(self, db, collect, duplicati, metadata):
        duplicati.jobs = [mirror(**metadata)]
        collected = collect(duplicati)
        assert (collected.stored, collected.problems) == (0, ())

    def test_reported_run_is_the_same(self, db, clock, collect, duplicati):
        ingest_report(sync_report(), now=clock(), actor=Actor())
        duplicati.jobs = [mirror(**DONE)]
        assert [collect(duplicati).stored, collect(duplicati).stored] == [0, 0]
        assert (len(runs(db)), runs(db)[0].examined_files) == (1, 3)

    def test_later_report_completes_the_run(self, db, clock, collect, duplicati):
        duplicati.jobs = [mirror(**DONE)]
        collect(duplicati)
        assert ingest_report(sync_report(), now=clock(), actor=Actor()) is None
        run = runs(db)[0]
        assert (len(runs(db)), run.began_at, run.examined_files) == (1, BEGAN_AT + timedelta(milliseconds=275), 3)
        assert [collect(duplicati).stored, collect(duplicati).stored] == [0, 0]

    @pytest.mark.parametrize("minutes", [0, 40], ids=["at once", "after a while"])
    def test_reported_failure_is_the_same(self, db, clock, collect, duplicati, minutes):
        """A report of a failure has no end, and Duplicati stores the time of the end only."""
        error_at = datetime(2031, 5, 4, 3, tzinfo=UTC)
        began_at = error_at - timedelta(minutes=minutes, milliseconds=-195)
        failure = sync_report(began_at, ended_at=began_at, duration_s=0.0, status="Fatal", parsed_result="Fatal")
        ingest_report(failure, now=error_at + SECOND, actor=Actor())
        duplicati.jobs = [mirror(**FAILED)]
        assert [collect(duplicati).stored for _ in range(3)] == [0, 0, 0]
        with pytest.raises(DuplicateReport):
            ingest_report(failure, now=clock(), actor=Actor())

    def test_later_reported_failure_is_the_same(self, db, clock, collect, duplicati):
        began_at = datetime(2031, 5, 4, 2, 59, 59, 500_000, tzinfo=UTC)
        duplicati.jobs = [mirror(**FAILED)]
        collect(duplicati)
        failure = sync_report(began_at, ended_at=began_at, duration_s=0.0, status="Fatal", parsed_result="Fatal")
        ingest_report(failure, now=clock(), actor=Actor())
        assert [collect(duplicati).stored for _ in range(2)] == [0, 0]
        assert [run.began_at for run in runs(db)] == [began_at]

    def test_next_failure_is_another_run(self, db, clock, collect, duplicati):
        duplicati.jobs = [mirror(**FAILED)]
        collect(duplicati)
        duplicati.jobs = [mirror(**{**FAILED, "LastErrorDate": "20310504T133000Z"})]
        assert collect(duplicati).stored == 1

    def test_recorded_jobs_are_collected_without_an_error(self, db, clock, collect, duplicati):
        clock.now = datetime(2026, 12, 1, tzinfo=UTC)
        duplicati.jobs = recording("main-34")["answer"]["body"]
        duplicati.logs = {
            "1": recording("main-25")["answer"]["body"],
            "2": recording("main-35")["answer"]["body"],
            "3": recording("main-27")["answer"]["body"],
        }
        collected, again = collect(duplicati), collect(duplicati)
        assert (collected.stored, collected.problems, again.stored, again.skipped) == (6, (), 0, 6)
        assert job_of(db, "Mirror").state_status == "Success"
        assert job_of(db, "Photos & Music").state_status == "Fatal"


@pytest.mark.parametrize(("generation", "prefix"), [(V2_2, "v2201"), (V2_1, "v2105")])
def test_recorded_jobs_of_older_versions_are_collected(db, clock, collect, generation, prefix):
    clock.now = datetime(2026, 12, 1, tzinfo=UTC)
    with duplicati_server(generation) as server:
        server.jobs = recording(f"{prefix}-11")["answer"]["body"]
        server.logs = {"1": recording(f"{prefix}-10")["answer"]["body"]}
        one = recording(f"{prefix}-12")["answer"]["body"]
        server.job_settings = {"1": {each["Name"]: each["Value"] for each in one["Backup"]["Settings"]}}
        collected, again = collect(server), collect(server)
    assert (collected.stored, collected.problems, again.stored, again.skipped) == (1, (), 0, 1)
    assert servers(db) == {MACHINE_ID: "nas-01"}


class TestRunning:
    def test_running_job_is_recorded_without_an_error(self, db, collect, duplicati):
        duplicati.running = "3"
        collected = collect(duplicati)
        since = datetime(2031, 5, 4, 11, 30, 0, 228_000, tzinfo=UTC)
        assert (collected.problems, collected.running[0][0]) == ((), "Photos")
        assert job_of(db).running_since_at == since
        duplicati.running = ""
        assert (collect(duplicati).running, job_of(db).running_since_at) == ((), None)

    def test_without_the_task_it_runs_since_it_was_first_seen(self, db, clock, collect, duplicati):
        duplicati.running, first = "3", clock()
        duplicati.replies["/serverstate"] = Reply(500)
        collect(duplicati)
        clock.advance(hours=1)
        collect(duplicati)
        assert job_of(db).running_since_at == first

    @pytest.mark.parametrize("generation", [V2_2, V2_1])
    def test_older_versions_return_the_log_meanwhile(self, db, collect, generation):
        with duplicati_server(generation) as server:
            server.running = "3"
            assert (collect(server).stored, job_of(db).running_since_at) == (1, None)

    def test_deleted_job_is_not_running(self, db, collect, duplicati):
        duplicati.running = "3"
        collect(duplicati)
        duplicati.jobs = duplicati.jobs[1:]
        collect(duplicati)
        assert job_of(db).running_since_at is None

    def test_job_of_a_server_without_a_job_list_is_not_running(self, db, collect, duplicati):
        duplicati.running = "3"
        collect(duplicati)
        duplicati.jobs = []
        collect(duplicati)
        assert job_of(db).running_since_at is None

    @pytest.mark.parametrize("first", ["one", "other"])
    def test_jobs_of_another_duplicati_of_the_server_are_unchanged(self, db, collect, duplicati, first):
        """As after a merge."""
        with duplicati_server() as other:
            other.jobs = [job("3", "Mail", SCHEDULE)]
            for each in (duplicati, other) if first == "one" else (other, duplicati):
                each.running = "3"
                collect(each, server_id=MACHINE_ID) if servers(db) else collect(each)
            assert (job_of(db).running_since_at is None, job_of(db, "Mail").running_since_at is None) == (False, False)
            duplicati.jobs = duplicati.jobs[1:]
            collect(duplicati, server_id=MACHINE_ID)
            assert (job_of(db).running_since_at is None, job_of(db, "Mail").running_since_at is None) == (True, False)

    def test_job_with_the_id_of_another_server_does_not_affect_its_jobs(self, db, collect, duplicati):
        duplicati.running = "3"
        collect(duplicati)
        with duplicati_server() as other:
            other.machine_id, other.jobs = "second", [job("7", "Mail", SCHEDULE)]
            other.job_settings = {"7": {"--machine-id": MACHINE_ID}}
            collect(other)
        assert job_of(db, "Mail") is not None
        assert job_of(db).running_since_at is not None

    def test_hidden_job_is_unchanged(self, db, collect, duplicati):
        duplicati.running = "3"
        collect(duplicati)
        duplicati.running, duplicati.job_settings = "", {"3": {"--machine-id": "own"}}
        collected = collect(duplicati, Caller(visible_server_ids=frozenset({MACHINE_ID})), server_id=MACHINE_ID)
        assert len(collected.problems) == 1
        assert job_of(db).running_since_at is not None

    def test_report_ends_the_running_state(self, db, clock, collect, duplicati):
        duplicati.running = "3"
        collect(duplicati)
        late = sync_report(BEGAN_AT, main_operation="Backup", job_name="Photos")
        ingest_report(late, now=clock(), actor=Actor())
        assert job_of(db).running_since_at is not None
        ended = sync_report(clock(), main_operation="Backup", job_name="Photos")
        ingest_report(ended, now=clock(), actor=Actor())
        assert job_of(db).running_since_at is None

    def test_server_is_collected_from_again_soon(self, db, clock, duplicati):
        remember(duplicati.url, collect_interval="6h")
        duplicati.running, duplicati.running_since = "3", iso(clock() - timedelta(minutes=10))
        assert batches.collect_due(clock()).failure_count == 0
        assert db.session.get_one(Server, MACHINE_ID).next_collect_at == clock() + timedelta(minutes=5)
        clock.advance(hours=2)
        batches.collect_due(clock())
        server = db.session.get_one(Server, MACHINE_ID, populate_existing=True)
        assert server.next_collect_at == clock() + timedelta(minutes=130) / 4
        duplicati.running = ""
        clock.advance(hours=1)
        batches.collect_due(clock())
        server = db.session.get_one(Server, MACHINE_ID, populate_existing=True)
        assert server.next_collect_at == clock() + timedelta(hours=6)


class TestLastError:
    def test_error_after_the_newest_run_is_stored_until_the_next(self, db, clock, collect, duplicati):
        duplicati.jobs = [job("3", "Photos", SCHEDULE, **FAILED)]
        collect(duplicati)
        found = job_of(db)
        assert (found.collected_error, found.collected_error_at) == (
            "The folder /data/d3 does not exist",
            datetime(2031, 5, 4, 3, tzinfo=UTC),
        )
        report = sync_report(BEGAN_AT + ONE_DAY, main_operation="Backup", job_name="Photos")
        ingest_report(report, now=clock() + ONE_DAY, actor=Actor())
        assert (job_of(db).collected_error, job_of(db).collected_error_at) == (None, None)
        collect(duplicati)
        assert job_of(db).collected_error is None

    def test_error_of_a_run_is_shown_by_the_run(self, db, collect, duplicati):
        duplicati.logs["3"] = [entry(message(ParsedResult="Fatal"))]
        duplicati.jobs = [job("3", "Photos", **{**FAILED, "LastErrorDate": "20310504T020405Z"})]
        collect(duplicati)
        assert job_of(db).collected_error is None


class TestVersions:
    VERSIONS = ("2031-05-04T04:00:03+02:00", "2031-04-27T04:00:03+02:00")

    def test_versions_are_requested_if_no_report_has_them(self, db, clock, collect, duplicati):
        duplicati.versions = {"3": list(self.VERSIONS)}
        collect(duplicati)
        found = job_of(db)
        assert found.last_versions == ("2031-05-04T02:00:03.000Z", "2031-04-27T02:00:03.000Z")
        assert not found.not_told & Figure.VERSION_LIST
        assert found.versions_collected_at == clock()

    def test_versions_are_requested_once_a_day(self, db, clock, collect, duplicati):
        duplicati.versions = {"3": list(self.VERSIONS)}
        for hours, count in ((0, 1), (23, 1), (1, 2)):
            clock.advance(hours=hours)
            collect(duplicati)
            assert sent(duplicati, "/3/filesets") == count

    def test_failed_request_is_no_error_and_waits_a_day_too(self, db, collect, duplicati):
        duplicati.replies["/filesets"] = Reply(500)
        assert (collect(duplicati).problems, collect(duplicati).problems) == ((), ())
        assert sent(duplicati, "/3/filesets") == 1
        assert job_of(db).not_told & Figure.VERSION_LIST

    def test_job_without_runs_or_with_a_locked_database_is_not_requested(self, db, collect, duplicati):
        duplicati.running = "3"
        collect(duplicati)
        assert sent(duplicati, "/filesets") == 0

    def test_job_with_versions_in_its_reports_is_not_requested(self, db, collect, duplicati):
        listed = "2031-05-04 02:04:03 +00 - [Information-X-BackupsToConsider]: Backups to consider: 04/27/2031 02:00:03"
        duplicati.logs["3"] = [entry(message(Messages=[listed]))]
        collect(duplicati)
        assert sent(duplicati, "/filesets") == 0

    def test_later_run_adds_its_version_and_deletion_of_a_run_keeps_them(self, db, clock, collect, duplicati):
        duplicati.versions = {"3": list(self.VERSIONS)}
        collect(duplicati)
        clock.advance(hours=15)
        duplicati.logs["3"].insert(0, entry(message(BEGAN_AT + ONE_DAY), 2))
        collect(duplicati)
        kept = ("2031-05-05T02:00:03.000Z", "2031-05-04T02:00:03.000Z", "2031-04-27T02:00:03.000Z")
        assert job_of(db).last_versions == kept
        with writing() as session:
            job_stats.recompute(session, job_of(db))
        assert job_of(db).last_versions == kept
        assert not job_of(db).not_told & Figure.VERSION_LIST

    @pytest.mark.parametrize("is_answered", [False, True])
    def test_list_of_a_deleted_run_is_deleted_despite_earlier_requests(
        self, db, clock, collect, duplicati, is_answered
    ):
        duplicati.versions = {"3": list(self.VERSIONS)}
        duplicati.replies = {} if is_answered else {"/filesets": Reply(500)}
        collect(duplicati)
        listed = "2031-05-05 02:04:03 +00 - [Information-X-BackupsToConsider]: Backups to consider: 04/20/2031 02:00:03"
        duplicati.logs["3"].insert(0, entry(message(BEGAN_AT + ONE_DAY, Messages=[listed]), 2))
        clock.advance(hours=15)
        collect(duplicati)
        assert "2031-04-20T02:00:03.000Z" in job_of(db).last_versions
        with writing() as session:
            newest = runs(db)[-1]
            session.delete(newest)
            session.flush()
            job_stats.subtract_runs(session, job_of(db), [newest])
        assert "2031-04-20T02:00:03.000Z" not in job_of(db).last_versions
        assert job_of(db).not_told & Figure.VERSION_LIST

    def test_of_many_jobs_some_are_requested_at_a_time(self, db, collect, duplicati):
        duplicati.jobs = [job(str(number), f"job {number}") for number in range(12)]
        duplicati.logs = {str(number): [entry(message())] for number in range(12)}
        collect(duplicati)
        assert sent(duplicati, "/filesets") == collecting.VERSION_LISTS_AT_ONCE
        collect(duplicati)
        assert sent(duplicati, "/filesets") == 12

    def test_api_returns_the_versions_of_the_newest_run(self, db, clock, collect, duplicati):
        duplicati.versions = {"3": list(self.VERSIONS)}
        collect(duplicati)
        expected = ("2031-05-04T02:00:03.000Z", "2031-04-27T02:00:03.000Z")
        assert job_of(db).last_available_versions == runs(db)[0].available_versions == expected
        with writing() as session:
            job_stats.recompute(session, job_of(db))
        assert job_of(db).last_available_versions == expected

    def test_versions_are_requested_if_only_an_older_run_has_them(self, db, collect, duplicati):
        listed = "2031-05-04 02:04:03 +00 - [Information-X-BackupsToConsider]: Backups to consider: 04/27/2031 02:00:03"
        duplicati.versions = {"3": list(self.VERSIONS)}
        duplicati.logs["3"] = [entry(message(BEGAN_AT + ONE_DAY / 4), 2), entry(message(Messages=[listed]))]
        collect(duplicati)
        assert sent(duplicati, "/filesets") == 1
        with writing() as session:
            job_stats.recompute(session, job_of(db))
        assert job_of(db).last_versions == ("2031-05-04T02:00:03.000Z", "2031-04-27T02:00:03.000Z")


class TestJobsWithoutRuns:
    def test_observed_start_is_kept_without_a_schedule(self, db, clock, collect, duplicati):
        duplicati.running, first = "4", clock()
        duplicati.replies["/serverstate"] = Reply(500)
        collect(duplicati)
        clock.advance(hours=1)
        collect(duplicati)
        assert job_of(db, "No schedule").running_since_at == first

    def test_of_two_jobs_of_one_name_either_may_run(self, db, collect, duplicati):
        duplicati.jobs = [job("3", "Twice", **FAILED), job("4", "Twice")]
        duplicati.logs, duplicati.running = {}, "3"
        collect(duplicati)
        found = job_of(db, "Twice")
        assert found.running_since_at is not None
        assert found.collected_error == FAILED["LastErrorMessage"]

    def test_long_name_equals_that_of_the_reports(self, db, clock, collect, duplicati):
        duplicati.jobs = [job("3", "x" * 300, SCHEDULE)]
        collect(duplicati)
        collect(duplicati)
        assert [(len(found.name), found.run_count) for found in db.session.scalars(select(Job))] == [(255, 1)]

    def test_server_without_an_id_is_collected_under_its_name(self, db, collect, duplicati):
        ingest_report(sync_report(server_id="", server_name="nas-01"), now=BEGAN_AT + ONE_DAY, actor=Actor())
        duplicati.machine_id = ""
        with pytest.raises(Refused, match="The Duplicati server did not return its machine id"):
            collect(duplicati)
        assert collect(duplicati, server_id="name:nas-01").stored == 1
        assert list(servers(db)) == ["name:nas-01"]


class TestLogin:
    def test_login_is_not_remembered_by_the_server(self, db, collect, duplicati):
        collect(duplicati)
        assert b'"RememberMe": false' in duplicati.requests[0].body

    def test_no_cookie_is_sent_with_a_token(self, db, collect, duplicati):
        collect(duplicati)
        assert not [request.path for request in duplicati.requests if "cookie" in request.headers]

    def test_invalid_token_is_renewed_once(self, db, collect, duplicati):
        duplicati.forgets_token_at = "/backups"
        collected = collect(duplicati)
        assert (collected.stored, sent(duplicati, "/auth/login"), sent(duplicati, "/backups")) == (1, 2, 2)

    def test_token_is_renewed_before_its_end(self, db, collect, duplicati):
        assert collect(duplicati, limits=Limits(token_s=-1)).stored == 1
        assert sent(duplicati, "/auth/login") == len(duplicati.requests) // 2 + 1

    def test_repeated_rejection_ends_the_renewals(self, db, collect, duplicati):
        duplicati.replies["/log"] = Reply(401)
        collected = collect(duplicati)
        assert (len(collected.problems), sent(duplicati, "/auth/login"), sent(duplicati, "/log")) == (2, 2, 3)

    def test_older_duplicati_without_a_password_needs_no_login(self, db, clock, collect):
        with duplicati_server(OLD) as server:
            server.password = ""
            assert try_connection(server.url).is_success
            assert collect(server, password="", has_no_password=True).stored == 1
            stored = db.session.get_one(Server, MACHINE_ID)
            assert (stored.has_password, secrets.decrypt(stored.encrypted_password)) == (True, "")
            assert collect(server, server_id=MACHINE_ID, hostname="", password="").skipped == 1
            collecting.start_job(MACHINE_ID, "Photos", actor=Actor(), now=clock())
            assert server.started == ["3"]

    @pytest.mark.parametrize("generation", [NEW, V2_2, V2_1, OLD])
    def test_missing_password_is_a_failed_login(self, db, collect, generation):
        with duplicati_server(generation) as server, pytest.raises(Refused, match="Login failed: Unauthorized"):
            collect(server, password="", has_no_password=True)


def test_failing_additional_requests_send_no_notification(db, collect, duplicati):
    duplicati.running = "3"
    duplicati.jobs.append(mirror(**DONE))
    collect(duplicati)
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "backup_collected")).one()
    assert (entry.status, entry.details["errors"]) == ("success", 0)
