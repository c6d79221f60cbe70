"""Several servers at once, scheduled collection, and starting jobs."""

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from duplicati_server import BEGAN_AT, MACHINE_ID, NEW, OLD, PASSWORD, DuplicatiServer, Reply, as_json, duplicati_server
from sqlalchemy import select

from app.accounts.models import User
from app.audit.log import Actor, AuditEntry
from app.backups.models import Run, Server
from app.collector import batches, collecting
from app.collector.batches import next_collection_at
from app.collector.client import Limits
from app.collector.collecting import Caller
from app.collector.targets import Order
from app.core.db.orm import writing
from app.core.errors import Refused
from app.database import secrets

pytestmark = pytest.mark.slow

QUICK = Limits(timeout_s=5.0, answer_s=5.0)
HOUR = timedelta(hours=1)


@pytest.fixture
def duplicati() -> Iterator[DuplicatiServer]:
    """A fake Duplicati server with plain HTTP."""
    with duplicati_server() as server:
        yield server


@pytest.fixture
def alice(db) -> Caller:
    """A user with an account."""
    user = db.session.scalars(select(User)).one()
    return Caller(actor=Actor(user_id=user.id, username=user.username))


def remember(server_id: str, url: str, **values) -> None:
    """A server whose address and password are stored."""
    with writing() as session:
        usual = {"name": server_id, "created_at": BEGAN_AT, "encrypted_password": secrets.encrypt(PASSWORD)}
        session.add(Server(id=server_id, url=url, **{**usual, **values}))


def record(db, server_id: str) -> Server:
    db.session.commit()
    return db.session.get_one(Server, server_id, populate_existing=True)


def finished(started: batches.Batch) -> batches.Batch:
    """Return the batch after its end."""
    deadline = time.monotonic() + 60
    while not started.is_done:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return started


def test_each_server_of_a_batch_has_its_own_result(db, clock, duplicati, alice):
    remember("good", duplicati.url)
    remember("bad", "http://127.0.0.1:9")
    with duplicati_server() as other:
        orders = [
            *batches.orders_for_all(None),
            Order(hostname="127.0.0.1", port=other.port, password="wrong", scheme="http"),
        ]
        batch = finished(batches.batches_of_application().start(orders, caller=alice, now=clock(), limits=QUICK))
    bad, good, new = batch.items
    assert [(item.state, item.error_code) for item in batch.items] == [
        ("failed", "REFUSED"),
        ("collected", ""),
        ("failed", "LOGIN"),
    ]
    assert (good.name, good.collected.stored, bad.collected) == ("good", 1, None)
    assert (new.place, new.error) == ("127.0.0.1", "Login failed: Unauthorized")
    assert batch.waiting.empty()


def test_batch_is_found_by_its_user_and_by_administrators(db, clock, duplicati, alice):
    remember("good", duplicati.url)
    all_batches = batches.batches_of_application()
    batch = finished(all_batches.start(batches.orders_for_all(None), caller=alice, now=clock(), limits=QUICK))
    assert all_batches.find(batch.id, reader_id=alice.actor.user_id, is_admin=False).items == batch.items
    assert all_batches.find(batch.id, reader_id="bob", is_admin=True).items == batch.items
    with pytest.raises(Refused, check=lambda error: error.status == 404):
        all_batches.find(batch.id, reader_id="bob", is_admin=False)


def test_finished_batch_is_deleted(db, clock, duplicati, alice):
    remember("good", duplicati.url)
    all_batches, orders = batches.batches_of_application(), batches.orders_for_all(None)
    first = finished(all_batches.start(orders, caller=alice, now=clock(), limits=QUICK))
    deadline = time.monotonic() + 60
    while first.ended_at is None and time.monotonic() < deadline:
        time.sleep(0.01)
    finished(all_batches.start(orders, caller=alice, now=clock.advance(hours=1), limits=QUICK))
    with pytest.raises(Refused, check=lambda error: error.status == 404):
        all_batches.find(first.id, reader_id=alice.actor.user_id, is_admin=True)


def test_batch_without_servers_is_rejected(db, clock, alice):
    remember("without password", "http://127.0.0.1:9", encrypted_password="")
    remember("without address", "")
    with pytest.raises(Refused, match="No server can be collected from:"):
        batches.batches_of_application().start(batches.orders_for_all(None), caller=alice, now=clock())


def test_all_servers_are_those_that_the_account_may_see(db, duplicati):
    remember("a", duplicati.url)
    remember("b", duplicati.url)
    assert [order.server_id for order in batches.orders_for_all(frozenset({"b"}))] == ["b"]


def test_only_due_servers_are_collected_from(db, clock, duplicati):
    remember("never", duplicati.url)
    remember("later", duplicati.url, collect_interval="1h", next_collect_at=clock() + HOUR)
    remember("due", duplicati.url, collect_interval="1h")
    assert batches.collect_due(clock(), QUICK) == batches.CollectedServers(1, 1, 0)
    assert [run.job_id for run in db.session.scalars(select(Run))]
    due = record(db, "due")
    assert (due.collected_at, due.next_collect_at, due.collect_error) == (clock(), clock() + HOUR, None)
    assert batches.collect_due(clock(), QUICK) == batches.CollectedServers()


def test_rounds_without_news_write_no_audit_entries(db, clock, duplicati):
    remember("due", duplicati.url, collect_interval="1h")
    for _ in range(3):
        assert batches.collect_due(clock(), QUICK).server_count == 1
        clock.advance(hours=2)
    entries = list(db.session.scalars(select(AuditEntry).where(AuditEntry.action == "backup_collected")))
    assert [entry.details["processed"] for entry in entries] == [1]


def test_delay_of_a_failing_server_increases(db, clock, duplicati):
    remember("due", duplicati.url, collect_interval="1h", collected_at=clock() - 3 * HOUR)
    duplicati.replies["/backups"] = Reply(500)
    assert batches.collect_due(clock(), QUICK).failure_count == 1
    due = record(db, "due")
    assert due.next_collect_at == clock() + 3 * HOUR
    assert due.collect_error == "Failed to get the list of backup jobs: Internal Server Error"
    clock.advance(hours=3)
    batches.collect_due(clock(), QUICK)
    assert record(db, "due").next_collect_at == clock() + 6 * HOUR


def test_server_without_password_is_reported_and_delays_no_other(db, clock, duplicati):
    remember("closed", duplicati.url, collect_interval="1h", encrypted_password="")
    remember("open", duplicati.url, collect_interval="1h")
    assert batches.collect_due(clock(), QUICK) == batches.CollectedServers(2, 1, 1)
    closed = record(db, "closed")
    assert closed.collect_error.startswith("No password is stored")
    assert closed.next_collect_at == clock() + 2 * HOUR


@pytest.mark.parametrize(
    ("text", "failing_h", "wanted_h"),
    [("1h", None, 1), ("1h", 0, 1), ("1h", 5, 5), ("1h", 500, 24), ("7D", 500, 168), ("", 5, None), ("?", None, None)],
)
def test_delay_after_failures_is_at_most_a_day(clock, text, failing_h, wanted_h):
    since = None if failing_h is None else clock() - failing_h * HOUR
    wanted = None if wanted_h is None else clock() + wanted_h * HOUR
    assert next_collection_at(text, clock(), failing_since=since) == wanted


def test_changed_interval_applies_at_once_and_is_audited(db, clock, duplicati):
    remember("due", duplicati.url)
    batches.choose_interval(
        "due", interval="6h", verifies_certificate=False, actor=Actor(username="admin"), now=clock()
    )
    chosen = record(db, "due")
    assert (chosen.collect_interval, chosen.next_collect_at) == ("6h", clock())
    assert chosen.verifies_certificate is False
    entry = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert (entry.action, entry.details["changes"]) == (
        "server_updated",
        {"collectInterval": "6h", "verifyCertificate": False},
    )
    batches.choose_interval("due", interval="", actor=Actor(), now=clock())
    assert record(db, "due").next_collect_at is None
    with pytest.raises(Refused, match="Unknown interval"):
        batches.choose_interval("due", interval="1s", actor=Actor(), now=clock())


@pytest.mark.parametrize("generation", [NEW, OLD])
def test_job_is_started_at_its_duplicati_and_audited(db, clock, generation):
    with duplicati_server(generation) as server:
        remember(MACHINE_ID, server.url, alias="cellar", collect_interval="1h")
        batches.collect_due(clock(), QUICK)
        started = collecting.start_job(MACHINE_ID, "Photos", actor=Actor(username="admin"), now=clock(), limits=QUICK)
        assert (started, server.started) == (collecting.Started("cellar", "Photos", 17), ["3"])
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "backup_started")).one()
    assert (entry.status, entry.username, entry.target_id) == ("success", "admin", f"{MACHINE_ID}:Photos")


def test_job_that_cannot_be_started_reports_the_reason(db, clock, duplicati):
    remember(MACHINE_ID, duplicati.url, collect_interval="1h")
    batches.collect_due(clock(), QUICK)

    def start(name: str = "Photos", server_id: str = MACHINE_ID):
        return collecting.start_job(server_id, name, actor=Actor(), now=clock(), limits=QUICK)

    with pytest.raises(Refused, check=lambda error: error.status == 404, match="no such backup job"):
        start("Music")
    with pytest.raises(Refused, check=lambda error: error.status == 404, match="Server not found"):
        start(server_id="nobody")
    duplicati.replies["/run"] = as_json({"Error": "busy"}, 409)
    with pytest.raises(Refused, match="Failed to get the start of the backup: Conflict"):
        start()
    duplicati.jobs = []
    with pytest.raises(Refused, match="no longer has a backup job of this name"):
        start()
    entries = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "backup_started")).all()
    assert [entry.status for entry in entries] == ["error", "error"]
