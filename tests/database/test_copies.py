"""The same run as JSON, as plain text and collected from its server is one run; on both databases."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from factories import BEGAN_AT, SENDER, find_job, report_document
from sqlalchemy import func, select

from app import runtime
from app.audit.log import AuditEntry
from app.backups import overview
from app.backups.models import Job, JobDay, Run, RunLog
from app.collector import store as collector_store
from app.collector.responses import CollectedJob, Machine, read_log
from app.notifications.models import Delivery
from app.reports.ingest import DuplicateReport, Received, receive_report
from app.reports.parser import Figure, Format
from app.reports.rejected import RejectedReport

BEGIN = BEGAN_AT + timedelta(milliseconds=123)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
LINE = "2031-05-04 11:00:03 +00 - [Information-X-Y]: a line"
STORED_BEFORE = "stored already"


@pytest.fixture
def settings(settings_of_each_database):
    """Every test here runs on SQLite and on PostgreSQL."""
    return settings_of_each_database


def json_of(began_at=BEGIN, **changes: Any) -> bytes:
    return json.dumps(report_document(began_at=began_at, lines=[LINE, LINE], **changes)).encode()


def text_of(began_at=BEGIN, **changes: Any) -> bytes:
    """Return the plain text of the same run, with whole seconds and without storage figures."""
    data = {"ExaminedFiles": 120, "SizeOfExaminedFiles": 5_000_000, "MainOperation": "Backup"}
    data |= {"ParsedResult": "Success", "Duration": "00:02:00.5000000", "MessagesActualLength": 2, **changes}
    end = began_at + timedelta(minutes=2)
    times = [f"{name}: 04.05.2031 ({int(at.timestamp())})" for name, at in (("BeginTime", began_at), ("EndTime", end))]
    values = [f"{name}: {value}" for name, value in data.items()]
    title = "Duplicati Backup report for photos (machine-1, DB-1, nas)"
    return "\n".join([title, "", *values, *times, "", "Log data:", LINE, LINE]).encode()


@pytest.fixture
def receive(db, clock):
    """Receive one upload."""
    return lambda body: receive_report(body, content_type="text/plain", now=clock(), actor=SENDER)


@pytest.fixture
def collect(db, clock):
    """Store what the log of the job contains; return how many runs were new."""

    def collect(*begins) -> int:
        messages = [report_document(began_at=at)["Data"] | {"Messages": [LINE, LINE]} for at in begins or (BEGIN,)]
        entries = [{"Message": json.dumps(message)} for message in messages]
        job, zone = CollectedJob("DB-1", "photos", None), runtime.settings().zone
        log = read_log(entries, Machine("machine-1", "nas"), job, received_at=clock(), zone=zone)
        assert log.problems == ()
        return collector_store.store_reports("machine-1", log.reports, clock())

    return collect


def count(db, table: type = Run) -> int:
    db.session.commit()
    return db.session.scalar(select(func.count()).select_from(table))


def the_run(db) -> Run:
    db.session.commit()
    return db.session.scalars(select(Run).execution_options(populate_existing=True)).one()


@pytest.mark.parametrize(("first", "second"), [(json_of, text_of), (text_of, json_of)])
def test_a_run_in_the_other_format_is_accepted_and_not_stored_again(db, receive, first, second):
    assert receive(first()).run_id is not None
    received = receive(second())
    assert (received.run_id, STORED_BEFORE in received.reason) == (None, True)
    assert (count(db), count(db, RunLog), count(db, RejectedReport)) == (1, 1, 0)
    assert the_run(db).format == Format.JSON | Format.TEXT


@pytest.mark.parametrize("first", [json_of, text_of])
@pytest.mark.parametrize("both", [False, True])
def test_a_second_upload_in_the_same_format_is_a_duplicate(receive, first, both):
    receive(first())
    if both:
        receive(json_of() if first is text_of else text_of())
    with pytest.raises(DuplicateReport):
        receive(first())


def test_the_text_after_the_json_changes_nothing(db, receive):
    receive(json_of())
    before, job_before = vars(the_run(db)).copy(), find_job().next_expected_at
    receive(text_of())
    after = vars(the_run(db))
    changed = {name for name in before if name[0] != "_" and before[name] != after[name]}
    assert changed == {"format"}
    assert find_job().next_expected_at == job_before


def test_the_json_after_the_text_completes_the_run(db, receive):
    receive(text_of())
    run = the_run(db)
    run_id = run.id
    assert (run.began_at, run.storage_bytes) == (BEGIN.replace(microsecond=0), 0)
    assert run.not_told & Figure.STORAGE
    receive(json_of())
    run = the_run(db)
    assert (run.id, run.began_at, run.storage_bytes, run.version_count) == (run_id, BEGIN, 2_000_000, 4)
    assert (run.uploaded_bytes, run.not_told & Figure.STORAGE) == (1_000, 0)
    job = find_job()
    assert (job.run_count, job.last_storage_bytes, job.total_uploaded_bytes) == (1, 2_000_000, 1_000)
    assert (job.last_began_at, job.state_began_at, job.next_expected_at) == (
        BEGIN,
        BEGIN,
        BEGIN.replace(microsecond=0) + DAY,
    )
    assert db.session.scalars(select(JobDay.last_storage_bytes)).all() == [2_000_000]
    assert len(overview.find_run(run_id).log.messages) == 2


def test_the_next_run_reported_only_in_json_is_expected(db, receive):
    receive(text_of())
    receive(json_of(extra={"next-scheduled-run": "20310504T180000Z"}))
    assert find_job().next_expected_at == BEGAN_AT.replace(hour=18)


def test_completing_an_older_run_does_not_change_the_newest(db, receive, clock):
    receive(text_of())
    receive(text_of(BEGIN + 60 * SECOND, ExaminedFiles=7))
    receive(json_of())
    job = find_job()
    assert (job.run_count, job.last_storage_bytes, job.last_examined_files) == (2, 2_000_000, 7)
    assert job.last_began_at == (BEGIN + 60 * SECOND).replace(microsecond=0)


def test_a_completed_run_is_notified_once(db, receive, ntfy_channel):
    receive(text_of(ParsedResult="Warning"))
    receive(json_of(result="Warning"))
    assert (count(db, Delivery), count(db, AuditEntry)) == (1, 1)


@pytest.mark.parametrize("later", [timedelta(milliseconds=1), SECOND])
def test_two_json_runs_that_begin_close_together_are_two(db, receive, later):
    receive(json_of())
    assert receive(json_of(BEGIN + later)).run_id is not None
    assert count(db) == 2


def test_a_text_of_the_next_second_is_another_run(db, receive):
    receive(json_of())
    assert receive(text_of(BEGIN + SECOND)).run_id is not None
    assert count(db) == 2


def test_the_same_second_in_another_job_is_another_run(db, receive):
    receive(json_of(job_name="music"))
    assert receive(text_of()).run_id is not None
    assert (count(db), count(db, Job)) == (2, 2)


class TestCollected:
    def test_a_run_uploaded_as_json_is_not_collected(self, db, receive, collect):
        receive(json_of())
        assert collect() == 0
        assert count(db) == 1

    def test_a_run_uploaded_as_text_is_completed(self, db, receive, collect):
        receive(text_of())
        assert collect() == 0
        run = the_run(db)
        assert (run.began_at, run.storage_bytes, run.format) == (BEGIN, 2_000_000, Format.TEXT | Format.COLLECTED)

    def test_an_upload_of_a_collected_run_is_accepted_and_not_stored_again(self, db, receive, collect):
        assert collect() == 1
        for body in (json_of(), text_of()):
            received = receive(body)
            assert (received.run_id, STORED_BEFORE in received.reason) == (None, True)
        assert (count(db), the_run(db).format) == (1, Format.JSON | Format.TEXT | Format.COLLECTED)

    def test_a_collected_run_is_not_collected_again(self, db, collect):
        assert (collect(), collect(BEGIN, BEGIN + DAY)) == (1, 1)
        assert count(db) == 2


def at_once(app, *bodies: bytes, now) -> list[Any]:
    """Upload the reports in threads that start together; return the response of each."""
    barrier = threading.Barrier(len(bodies))

    def send(body: bytes) -> Any:
        with app.app_context():
            barrier.wait(10)
            try:
                return receive_report(body, content_type="text/plain", now=now, actor=SENDER)
            except DuplicateReport as error:
                return error

    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(send, bodies))


@pytest.mark.parametrize("is_known", [False, True], ids=["new job", "known job"])
def test_of_both_formats_concurrently_one_run_is_stored(app, db, clock, receive, is_known):
    if is_known:
        receive(json_of(BEGIN - DAY))
    answers = at_once(app, *[json_of(), text_of()] * 3, now=clock())
    stored = [answer for answer in answers if isinstance(answer, Received) and answer.run_id]
    copies = [answer for answer in answers if isinstance(answer, Received) and not answer.run_id]
    assert (len(stored), len(copies), len(answers) - len(stored) - len(copies)) == (1, 1, 4)
    job = find_job()
    assert (count(db), job.run_count) == (1 + is_known,) * 2
    newest = db.session.scalars(select(Run).order_by(Run.began_at.desc())).first()
    assert (newest.format, newest.storage_bytes, newest.began_at) == (Format.JSON | Format.TEXT, 2_000_000, BEGIN)
    assert job.last_began_at == BEGIN


def test_the_second_report_over_http_is_answered_as_not_stored(client):
    assert client.post("/api/upload", data=json_of()).get_json() == {"success": True}
    answer = client.post("/api/upload", data=text_of(), content_type="text/plain")
    assert (answer.status_code, answer.get_json()["success"], answer.get_json()["stored"]) == (200, True, False)
    assert client.post("/api/upload", data=text_of(), content_type="text/plain").status_code == 409
    assert client.post("/api/upload", data=json_of()).status_code == 409


class TestWithoutResults:
    """A run that failed before it had results begins at its reception, which differs between the formats."""

    EXTRA: ClassVar = {"machine-id": "machine-1", "machine-name": "nas", "backup-name": "photos", "backup-id": "DB-1"}
    JSON = json.dumps({"Data": None, "Extra": EXTRA, "Exception": "Disk is gone"}).encode()
    TEXT = b"Duplicati Backup report for photos (machine-1, DB-1, nas)\n\nFailed: Disk is gone\nDetails: Disk is gone\n"

    @pytest.mark.parametrize(("first", "second"), [(JSON, TEXT), (TEXT, JSON)])
    @pytest.mark.parametrize("later_s", [0, 1, 9])
    def test_the_other_format_some_seconds_later_is_the_same_run(self, db, receive, clock, first, second, later_s):
        assert receive(first).run_id is not None
        clock.advance(seconds=later_s)
        assert receive(second).run_id is None
        assert (count(db), the_run(db).format) == (1, Format.JSON | Format.TEXT)

    @pytest.mark.parametrize("second", [JSON, TEXT])
    def test_the_same_format_later_and_the_other_one_much_later_are_other_runs(self, db, receive, clock, second):
        receive(self.JSON)
        clock.advance(minutes=1)
        assert receive(second).run_id is not None
        assert count(db) == 2

    def test_a_run_with_results_some_seconds_before_is_another_one(self, db, receive, clock):
        receive(json_of(clock() - 2 * SECOND))
        assert receive(self.TEXT).run_id is not None
        assert count(db) == 2
