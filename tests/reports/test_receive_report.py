"""Reception of reports: every form in which they arrive, and the handling of rejected ones."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from factories import BEGAN_AT, SENDER, report_body
from sqlalchemy import select

from app.backups.models import Job, Run, Server
from app.core.errors import InputTooLarge, Refused
from app.core.settings import store as settings_store
from app.reports import rejected
from app.reports.ingest import DuplicateReport, Received, receive_report, replay_rejected
from app.reports.parser import compress_body
from app.reports.rejected import RejectedReport

SAMPLES = Path(__file__).resolve().parents[1] / "data" / "samples"
# The status of each sample, or None for one that is not stored.
EXPECTED = {
    "success.json": "Success",
    "success-2.3-extra.json": "Success",
    "error.json": "Error",
    "fatal-exception-as-data.json": "Fatal",
    "fatal-null-data.json": "Fatal",
    "fatal-with-results.json": "Fatal",
    "long-run-over-a-day.json": "Success",
    "unicode-names.json": "Success",
    "warning.json": "Warning",
    "restore-operation.json": None,
    "test-operation.json": None,
}
FORMS = {
    "json": lambda body: (body, "application/json", ""),
    "form field": lambda body: (b"message=" + quote_plus(body).encode(), "application/x-www-form-urlencoded", ""),
    "gzip": lambda body: (gzip.compress(body), "application/json", "gzip"),
    "text that is JSON": lambda body: (body, "text/plain", ""),
}


@pytest.fixture
def receive(db, clock):
    """Receive one upload."""

    def receive(body: bytes, content_type: str = "application/json", encoding: str = "") -> Received:
        return receive_report(body, content_type=content_type, content_encoding=encoding, now=clock(), actor=SENDER)

    return receive


def rejected_reports(db) -> list[RejectedReport]:
    return list(db.session.scalars(select(RejectedReport)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", [name for name, status in EXPECTED.items() if status])
def test_sample_is_stored_in_every_form(receive, db, name, form):
    received = receive(*FORMS[form]((SAMPLES / name).read_bytes()))
    run = db.session.scalars(select(Run).where(Run.id == received.run_id)).one()
    assert run.parsed_result == EXPECTED[name]
    assert rejected_reports(db) == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", [name for name, status in EXPECTED.items() if not status])
def test_sample_of_another_operation_is_accepted_and_not_stored(receive, db, name, form):
    received = receive(*FORMS[form]((SAMPLES / name).read_bytes()))
    assert received.run_id is None
    assert "are not stored" in received.reason
    assert (rejected_reports(db), db.session.scalars(select(Run)).all()) == ([], [])


@pytest.mark.parametrize("name", [name for name, status in EXPECTED.items() if not status])
def test_sample_of_another_operation_is_stored_if_enabled(receive, db, clock, name):
    settings_store.put("keeps_other_operations", True, now=clock())
    receive((SAMPLES / name).read_bytes())
    assert db.session.scalars(select(Run)).one().main_operation != "Backup"


def test_plain_text_sample_is_stored(receive, db):
    body = b"message=" + quote_plus((SAMPLES / "plain-text.txt").read_bytes()).encode()
    receive(body, "application/x-www-form-urlencoded")
    assert db.session.scalars(select(Run)).one().main_operation == "Backup"


def test_every_sample_is_used():
    assert {path.name for path in SAMPLES.iterdir()} == {*EXPECTED, "plain-text.txt", "README.md"}


@pytest.mark.parametrize("form", FORMS)
def test_report_is_read_identically_in_every_form(receive, db, form):
    receive(*FORMS[form](report_body(data={"ExaminedFiles": 77}, lines=["[Warning-x]: ö"])))
    run = db.session.scalars(select(Run)).one()
    assert (run.examined_files, run.duration_s, run.message_count) == (77, 120.5, 1)


def test_date_without_a_zone_uses_ours(receive, db):
    receive(report_body(data={"BeginTime": "2031-05-04T10:00:00"}))
    assert db.session.scalars(select(Run)).one().began_at == datetime(2031, 5, 4, 10, tzinfo=UTC)


def test_duplicate_is_not_kept_as_rejected(receive, db):
    receive(report_body())
    with pytest.raises(DuplicateReport):
        receive(report_body())
    assert rejected_reports(db) == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "neither JSON"),
        (b"null", "not an object"),
        (b"[]", "not an object"),
        (b"not json", "neither JSON"),
        (b"{}", "MainOperation"),
        (report_body(extra={"machine-id": "", "machine-name": ""}), "machine-id"),
        (report_body(data={"BeginTime": "yesterday"}), "BeginTime"),
        (report_body(data={"Duration": None}), "Duration"),
        (b"{" * 50, "neither JSON"),
    ],
)
def test_unusable_report_is_rejected_and_kept_with_its_reason(receive, db, clock, body, reason):
    with pytest.raises(Refused) as error:
        receive(body)
    assert error.value.status == 400
    [row] = rejected_reports(db)
    assert reason in row.reason
    assert row.reason == error.value.message
    assert (rejected.body_of(row), row.ip_address, row.received_at) == (body, SENDER.ip_address, clock())


def test_rejected_report_creates_no_server(receive, db):
    with pytest.raises(Refused):
        receive(report_body(data={"BeginTime": "yesterday"}))
    assert db.session.scalars(select(Run)).all() == []


def test_database_error_is_not_treated_as_a_bad_report(receive, db):
    """The sender gets a 500 and retries; only reports that are wrong themselves are kept."""
    with db.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE run_logs")
    with pytest.raises(Exception, match="run_logs"):
        receive(report_body())
    assert rejected_reports(db) == []


@pytest.mark.parametrize("form", FORMS)
def test_address_of_the_destination_is_not_kept_with_a_rejected_report(receive, db, form):
    body = report_body(data={"BeginTime": "yesterday"}, extra={"RemoteUrl": "ftp://me:secret@host"})
    with pytest.raises(Refused):
        receive(*FORMS[form](body))
    [row] = rejected_reports(db)
    assert json.loads(rejected.body_of(row))["Extra"]["RemoteUrl"] == "(removed)"


@pytest.mark.parametrize("form", FORMS)
def test_rejected_report_can_be_replayed(receive, db, clock, form):
    with pytest.raises(Refused):
        receive(*FORMS[form](report_body(data={"ExaminedFiles": "many", "Duration": "soon"})))
    [row] = rejected_reports(db)
    corrected = rejected.body_of(row).replace(b"many", b"7").replace(b"soon", b"00:01:00")
    receive(corrected, row.content_type)
    assert db.session.scalars(select(Run)).one().examined_files == 7


def test_report_rejected_by_earlier_rules_can_be_replayed(db, clock, receive):
    receive(report_body(extra={"machine-id": ""}))  # its server is known by its name only so far
    body = report_body(began_at=BEGAN_AT + timedelta(hours=1))
    kept = compress_body(body, "application/json")
    rejected.keep_rejected(kept, Refused("an old rule"), sent=body, ip_address=None, now=clock())
    [row] = rejected_reports(db)
    received = replay_rejected(row.id, actor=SENDER, now=clock())
    run = db.session.scalars(select(Run).where(Run.id == received.run_id)).one()
    assert run.began_at == BEGAN_AT + timedelta(hours=1)
    assert rejected_reports(db)[0].replayed_at == clock()
    assert [server.id for server in db.session.scalars(select(Server))] == ["machine-1"]


def test_replayed_report_counts_as_of_its_reception(db, clock, receive):
    body = report_body(began_at=clock() + timedelta(days=30))
    kept = compress_body(body, "application/json")
    rejected.keep_rejected(kept, Refused("an old rule"), sent=body, ip_address=None, now=clock())
    received_at = clock()
    clock.advance(hours=72)
    [row] = rejected_reports(db)
    replay_rejected(row.id, actor=SENDER, now=clock())
    [run] = db.session.scalars(select(Run)).all()
    assert run.ended_at == received_at


@pytest.mark.parametrize(("operation", "is_kept"), [("Restore", False), ("Restore", True), ("Sync", False)])
def test_other_operations_are_stored_if_enabled_and_synchronisations_always(receive, db, clock, operation, is_kept):
    settings_store.put("keeps_other_operations", is_kept, now=clock())
    received = receive(report_body(data={"MainOperation": operation}))
    assert bool(received.run_id) == (is_kept or operation == "Sync")
    names = [job.name for job in db.session.scalars(select(Job))]
    assert names == (["photos"] if operation == "Sync" else ["photos (Restore)"] if is_kept else [])


@pytest.mark.parametrize(("body", "encoding"), [(b"\x1f\x8bnot gzip", ""), (b"secret", "br"), (b"secret", "gzip")])
def test_only_the_reason_is_kept_of_an_undecodable_report(receive, db, body, encoding):
    with pytest.raises(Refused):
        receive(body, encoding=encoding)
    [row] = rejected_reports(db)
    assert (rejected.body_of(row), bool(row.reason)) == (b"", True)


@pytest.mark.parametrize(
    ("body", "reason"), [(b"{" * 5000, "64 levels"), (b"[" + b"[]," * 500_000 + b"[]]", "500000 values")]
)
def test_report_with_too_many_values_is_too_large_and_kept_with_its_reason(receive, db, body, reason):
    with pytest.raises(InputTooLarge, match=reason):
        receive(body)
    [row] = rejected_reports(db)
    assert (row.status_code, rejected.body_of(row)) == (413, body)
