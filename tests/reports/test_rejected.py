"""Rejected uploads are kept with their reason, within limits, and without passwords."""

import json

import pytest
from sqlalchemy import select

from app.core.errors import Refused
from app.reports import rejected
from app.reports.parser import compress_body
from app.reports.rejected import RejectedReport


@pytest.fixture
def keep(db, clock):
    """Keep a rejected body."""

    def keep(body: bytes, **changes) -> None:
        usual = {"reason": "no", "status_code": 400, "content_type": "application/json", "ip_address": "192.0.2.1"}
        given = {"sent": body} | usual | changes
        kept, error = compress_body(body, given["content_type"]), Refused(given["reason"], status=given["status_code"])
        rejected.keep_rejected(kept, error, sent=given["sent"], ip_address=given["ip_address"], now=clock())

    return keep


def kept(db) -> list[RejectedReport]:
    return list(db.session.scalars(select(RejectedReport).order_by(RejectedReport.id)))


def test_body_reason_and_sender_are_kept(keep, db, clock):
    keep(b"what was sent", reason="Extra is missing", status_code=413, content_type="text/plain")
    [row] = kept(db)
    assert rejected.body_of(row) == b"what was sent"
    assert (row.reason, row.status_code, row.content_type) == ("Extra is missing", 413, "text/plain")
    assert (row.ip_address, row.received_at, row.size_bytes, row.replayed_at) == ("192.0.2.1", clock(), 13, None)


def test_body_of_any_bytes_is_kept(keep, db):
    keep(b"\x00\xff\xfe{")
    assert rejected.body_of(kept(db)[0]) == b"\x00\xff\xfe{"


def test_sender_may_be_unknown(keep, db):
    keep(b"", ip_address=None)
    assert kept(db)[0].ip_address == ""


@pytest.mark.parametrize(
    "body",
    [
        b'{"Extra": {"RemoteUrl": "ftp://me:secret@host/x", "a": 1}}',
        b'{"Extra": {"RemoteUrl" : "a\\"b:secret", "a": 1}}',
        b'{"extra": {"remoteurl": "secret"}}',
        b"MainOperation: Backup\r\nRemoteUrl: ftp://me:secret@host\r\nVersion: 2",
        b"other=%7B%22RemoteUrl%22%3A+%22ftp%3A%2F%2Fme%3Asecret%40host%22%7D",
        b"other=%7B%22RemoteUrl%22%3A%22a%5C%22secret%22%7D",
        b"other=MainOperation%3A+Backup%0D%0ARemoteUrl%3A+ftp%3A%2F%2Fme%3Asecret%40host%0D%0A",
    ],
    ids=[
        "json",
        "escaped quote",
        "lower case",
        "plain text",
        "form",
        "form with escaped quote",
        "plain text in a form",
    ],
)
def test_address_of_the_destination_is_not_kept(keep, db, body):
    keep(body)
    assert b"secret" not in rejected.body_of(kept(db)[0])


def test_report_whose_address_was_removed_can_still_be_read(keep, db):
    keep(b'{"Extra": {"RemoteUrl": "a\\"b:secret", "a": 1}}')
    assert json.loads(rejected.body_of(kept(db)[0])) == {"Extra": {"RemoteUrl": "(removed)", "a": 1}}


def test_the_newest_are_kept(keep, db, monkeypatch):
    monkeypatch.setattr(rejected, "REPORTS_KEPT", 3)
    for number in range(5):
        keep(str(number).encode())
    assert [rejected.body_of(row) for row in kept(db)] == [b"2", b"3", b"4"]


def test_total_size_is_limited(keep, db, monkeypatch):
    monkeypatch.setattr(rejected, "BYTES_KEPT", 25)
    for number in range(5):
        keep(str(number).encode())  # 9 bytes each once packed
    assert [rejected.body_of(row) for row in kept(db)] == [b"3", b"4"]


def test_long_reasons_are_shortened(keep, db):
    keep(b"", reason="x" * 9000)
    assert len(kept(db)[0].reason) == 2000


def test_retries_of_one_report_are_kept_once(keep, db, clock):
    for _ in range(4):
        keep(b"unchanged")
        clock.advance(seconds=1)
    keep(b"another")
    assert [(rejected.body_of(row), row.attempts) for row in kept(db)] == [(b"unchanged", 4), (b"another", 1)]


def test_retries_are_distinguished_even_if_no_body_can_be_kept(keep, db):
    for sent in (b"packed one", b"packed one", b"packed two"):
        keep(b"", sent=sent)
    assert [row.attempts for row in kept(db)] == [2, 1]


@pytest.mark.parametrize(("passed", "attempts"), [({"hours": 23}, [2]), ({"days": 1}, [1, 1])])
def test_the_same_text_much_later_is_another_event(keep, db, clock, passed, attempts):
    keep(b"unchanged")
    clock.advance(**passed)
    keep(b"unchanged")
    assert [row.attempts for row in kept(db)] == attempts


def test_replayed_report_that_is_rejected_again_is_kept_again(keep, db, clock):
    keep(b"unchanged")
    kept(db)[0].replayed_at = clock()
    db.session.commit()
    keep(b"unchanged")
    assert [row.attempts for row in kept(db)] == [1, 1]
