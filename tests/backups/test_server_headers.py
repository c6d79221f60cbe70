"""Extra request headers of a server: sent with every request to it, and to no other host."""

from collections.abc import Callable, Iterator

import pytest
from duplicati_server import BEGAN_AT, MACHINE_ID, OLD, PASSWORD, DuplicatiServer, duplicati_server, make_certificate
from sqlalchemy import select

from app.audit.log import Actor, AuditEntry
from app.backups import merging, servers
from app.backups.models import Job, Server
from app.backups.servers import ServerChange, decrypt_headers, names_of_headers
from app.collector import collecting
from app.collector.collecting import Caller
from app.collector.targets import Order
from app.core.db.orm import writing
from app.core.errors import Refused
from app.database import doctor, maintenance, secrets

pytestmark = pytest.mark.slow

HEADERS = {"CF-Access-Client-Id": "abc", "CF-Access-Client-Secret": "hush"}
SENT = {name.lower(): value for name, value in HEADERS.items()}


@pytest.fixture
def duplicati() -> Iterator[DuplicatiServer]:
    """A fake Duplicati server with plain HTTP."""
    with duplicati_server() as server:
        yield server


@pytest.fixture
def remember(db, clock) -> Callable[..., None]:
    """Store a server with a password and headers."""

    def remember(url: str, server_id: str = MACHINE_ID, **values) -> None:
        usual = {"name": "nas", "created_at": BEGAN_AT, "encrypted_password": secrets.encrypt(PASSWORD)}
        with writing() as session:
            session.add(Server(**{**usual, **values}, id=server_id, url=url))
            session.add(Job(server_id=server_id, name="Photos", created_at=clock()))
        servers.change_headers(server_id, HEADERS, actor=Actor(username="admin"), now=clock())

    return remember


def record(db, server_id: str = MACHINE_ID) -> Server:
    db.session.commit()
    return db.session.get_one(Server, server_id, populate_existing=True)


def carried(server: DuplicatiServer) -> list[bool]:
    """Return for each request whether it had the headers."""
    return [request.headers.items() >= SENT.items() for request in server.requests]


def test_headers_are_stored_encrypted_and_audited_by_name(db, remember):
    remember("")
    assert "hush" not in record(db).encrypted_headers
    assert (decrypt_headers(record(db)), names_of_headers(record(db))) == (HEADERS, tuple(HEADERS))
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "server_headers_updated")).one()
    assert entry.details == {"serverName": "nas", "headers": list(HEADERS)}


@pytest.mark.parametrize("generation", ["after 2.3.1.0", OLD])
def test_every_request_of_a_collection_and_of_a_start_has_the_headers(db, clock, remember, generation):
    with duplicati_server(generation) as server:
        remember(server.url)
        assert collecting.collect(Order(server_id=MACHINE_ID), caller=Caller(), now=clock()).stored == 1
        collecting.start_job(MACHINE_ID, "Photos", actor=Actor(), now=clock())
        assert len(carried(server)) > 5
        assert all(carried(server))


def test_password_entered_for_the_stored_address_sends_the_headers(db, clock, remember, duplicati):
    remember(duplicati.url)
    order = Order(server_id=MACHINE_ID, hostname=duplicati.url, password=PASSWORD)
    collecting.collect(order, caller=Caller(), now=clock())
    assert all(carried(duplicati))


@pytest.mark.parametrize("may_change", [True, False])
def test_another_address_gets_no_headers(db, clock, remember, duplicati, may_change):
    """Another port counts too: a user who may collect could listen there."""
    remember("http://127.0.0.1:9")
    order = Order(server_id=MACHINE_ID, hostname=duplicati.url, password=PASSWORD)
    collecting.collect(order, caller=Caller(may_change=may_change), now=clock())
    assert not any(carried(duplicati))


@pytest.mark.parametrize(
    ("is_checked", "wanted"),
    [
        (True, False),  # a user who may collect could have them sent to a third party
        (False, True),
    ],
)
def test_skipped_certificate_check_sends_no_headers(db, clock, remember, tmp_path, is_checked, wanted):
    with duplicati_server(certificate=make_certificate(tmp_path)) as server:
        remember(server.url, verifies_certificate=is_checked)
        order = Order(server_id=MACHINE_ID, hostname=server.url, password=PASSWORD, verifies_certificate=False)
        collecting.collect(order, caller=Caller(may_change=False), now=clock())
        assert len(server.requests) > 5
        assert {*carried(server)} == {wanted}


def test_headers_entered_with_a_password_are_stored_with_it(db, clock, duplicati):
    given = {"hostname": "127.0.0.1", "port": duplicati.port, "scheme": "http", "password": PASSWORD}
    collecting.collect(Order(**given, headers=HEADERS), caller=Caller(), now=clock())
    assert all(carried(duplicati))
    assert decrypt_headers(record(db)) == HEADERS


def test_collecting_from_another_host_deletes_the_headers(db, clock, remember, duplicati):
    remember("http://nas.lan:8200")
    order = Order(server_id=MACHINE_ID, hostname=duplicati.url, password=PASSWORD)
    collecting.collect(order, caller=Caller(), now=clock())
    assert not record(db).has_headers


def test_headers_are_not_sent_to_another_host(db, clock, remember):
    remember("http://nas.lan:8200")
    assert not servers.change_url(MACHINE_ID, "https://nas.lan/", actor=Actor(), now=clock()).lost_headers
    changed = servers.change_server(MACHINE_ID, ServerChange(url="https://other.lan"), actor=Actor(), now=clock())
    assert (changed.lost_password, changed.lost_headers, record(db).has_headers) == (True, True, False)
    entry = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert entry.details["credentialsDropped"] is True


def test_merge_moves_the_headers_unless_the_host_differs(db, clock, remember):
    remember("http://nas.lan:8200", "old")
    remember("http://other.lan:8200", "elsewhere")
    with writing() as session:
        session.add(Server(id="new", name="nas", url="https://nas.lan", created_at=BEGAN_AT))
        session.add(Server(id="far", name="nas", url="https://far.lan", created_at=BEGAN_AT))
    merging.merge_servers(["old"], "new", actor=Actor(), now=clock())
    merging.merge_servers(["elsewhere"], "far", actor=Actor(), now=clock())
    assert (record(db, "new").has_headers, record(db, "new").has_password) == (True, True)
    assert (record(db, "far").has_headers, record(db, "far").has_password) == (False, False)


def test_changed_key_deletes_the_headers_and_the_doctor_reports_it(db, clock, remember, duplicati):
    remember(duplicati.url)
    with writing():
        record(db).encrypted_headers = ":".join(("0" * 64, "0" * 24, "0" * 32, "00"))
    assert names_of_headers(record(db)) == ()
    assert "nas were encrypted with another key file" in doctor._examine_secrets().text
    with pytest.raises(Refused, match="master key") as raised:
        collecting.collect(Order(server_id=MACHINE_ID), caller=Caller(), now=clock())
    assert raised.value.extra["masterKeyInvalid"] is True
    with writing():
        secrets._drop_unreadable(clock())
    assert (record(db).has_headers, record(db).has_password) == (False, True)


def test_cleanup_keeps_a_server_with_only_headers(db, clock, remember):
    remember("http://nas.lan", encrypted_password="")
    maintenance.run_maintenance(clock())
    assert record(db).has_headers
