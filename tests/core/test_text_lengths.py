"""Maximum lengths of texts: the same on both databases, and never a reason to lose a report."""

import pytest
from factories import report_document
from sqlalchemy import String, func, select

from app.accounts.models import ApiKey, Session, User
from app.audit.log import Actor, AuditEntry, record_entry
from app.backups.models import Job, Run, Server
from app.core.db.orm import Bounded, Model, Recorded, writing
from app.core.errors import Refused
from app.reports.rejected import RejectedReport

COLUMNS = [column for table in Model.metadata.tables.values() for column in table.c if not column.primary_key]
LIMITED = [column for column in COLUMNS if isinstance(column.type, Bounded)]
LONG = "x" * 100_000


@pytest.fixture
def settings(settings_of_each_database):
    """Every test here runs on SQLite and on PostgreSQL."""
    return settings_of_each_database


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_column_has_a_length_enforced_by_one_database_only(app):
    plain = [column for column in COLUMNS if isinstance(column.type, String) and column.type.length]
    assert [str(column) for column in plain if not column.foreign_keys] == []
    assert len(LIMITED) > 25


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_overlong_text_is_rejected_with_its_column(db):
    for column in LIMITED:
        pattern = f"^{column.name}: .* {column.type.length} characters$"
        with pytest.raises(Refused, match=pattern), writing() as session:
            session.execute(column.table.update().values({column: "x" * (column.type.length + 1)}))


def test_a_text_of_the_maximum_length_is_stored(db, clock):
    with writing() as session:
        session.add(Server(id="a", name="n" * 255, alias="ä" * 255, created_at=clock()))
    assert db.session.get(Server, "a").alias == "ä" * 255


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("PATCH", "/api/servers/machine-1", {"alias": "ä" * 256}, "alias"),
        ("PATCH", "/api/users/{user_id}", {"username": LONG}, "username"),
        ("POST", "/api/api-keys", {"name": LONG, "scope": "read"}, "name"),
    ],
)
def test_an_overlong_entry_is_reported_to_the_user(db, admin, method, path, body, field):
    admin.post("/api/upload", json=report_document())
    user_id = db.session.scalars(select(User.id)).one()
    answer = admin.send(method, path.format(user_id=user_id), json=body)
    assert answer.status_code == 400
    assert answer.get_json()["error"].startswith(f"{field}: ")


@pytest.mark.parametrize("path", [f"/api/users/{LONG[:3000]}/unlock", f"/api/servers/{LONG[:3000]}"])
def test_searching_for_an_overlong_text_finds_nothing(admin, path):
    method = "POST" if path.endswith("unlock") else "GET"
    assert admin.send(method, path).status_code == 404
    assert admin.get("/api/audit-log", query_string={"username": LONG[:3000]}).status_code == 200


def test_texts_of_records_are_cut(db, clock):
    actor = Actor(username=LONG, ip_address=LONG, user_agent=LONG)
    record_entry("login", "auth", now=clock(), actor=actor, target_type=LONG)
    entry = db.session.scalars(select(AuditEntry).execution_options(populate_existing=True)).one()
    assert (len(entry.username), len(entry.ip_address), len(entry.target_type)) == (255, 64, 64)
    assert len(entry.user_agent) == 512


@pytest.mark.parametrize("name", ["ip_address", "last_used_ip", "last_login_ip"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_addresses_of_records_are_cut(app, name):
    tables = (AuditEntry, RejectedReport, Session, ApiKey, User)
    found = [getattr(table, name).type for table in tables if hasattr(table, name)]
    assert found
    assert all(isinstance(kind, Recorded) for kind in found)


EXTRA = ("machine-id", "machine-name", "backup-name", "backup-id", "OperationName", "destination-type")
DATA = ("MainOperation", "ParsedResult", "Version", "Exception", "LimitedWarnings", "LimitedMessages")


class TestReports:
    """No report is rejected because a text in it is too long."""

    def stored(self, db):
        db.session.rollback()
        return db.session.scalar(select(func.count()).select_from(Run))

    @pytest.mark.parametrize("field", EXTRA)
    @pytest.mark.parametrize("text", [LONG, "ä" * 300, "\N{PARTY POPPER}" * 300])
    def test_overlong_texts_of_the_job_are_handled(self, db, client, field, text):
        answer = client.post("/api/upload", json=report_document(extra={field: text}))
        if field == "OperationName":
            assert answer.status_code == 200
            return
        assert (answer.status_code, self.stored(db)) == (200, 1)
        assert max(len(name) for name in db.session.scalars(select(Job.name))) <= 255
        assert max(len(name) for name in db.session.scalars(select(Server.name))) <= 255

    @pytest.mark.parametrize("field", DATA)
    def test_overlong_texts_of_the_run_are_handled(self, db, client, field):
        answer = client.post("/api/upload", json=report_document(data={field: LONG}))
        assert answer.status_code == 200
        assert self.stored(db) == (0 if field == "MainOperation" else 1)  # which declares that it is no backup

    def test_overlong_log_lines_are_handled(self, db, client):
        lines = [f"2031-05-04 11:00:01 +00 - [Warning-x]: {LONG}"]
        document = report_document(lines=lines, data={"Messages": [LONG], "Warnings": [LONG], "Errors": [LONG]})
        assert client.post("/api/upload", json=document).status_code == 200
        assert self.stored(db) == 1

    def test_overlong_sender_is_handled(self, db, client):
        sent = {"headers": {"User-Agent": LONG}, "environ_base": {"REMOTE_ADDR": "fe80::1%" + "e" * 300}}
        assert client.post("/api/upload", json=report_document(), **sent).status_code == 200
        assert self.stored(db) == 1

    def test_overlong_rejected_report_is_kept(self, db, client):
        sent = {"headers": {"User-Agent": LONG}, "environ_base": {"REMOTE_ADDR": "fe80::1%" + "e" * 300}}
        assert client.post("/api/upload", data=b"{", **sent).status_code == 400
        assert db.session.scalar(select(func.count()).select_from(RejectedReport)) == 1
