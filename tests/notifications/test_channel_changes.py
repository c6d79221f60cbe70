"""Creating, changing, enabling and deleting channels, and the audit log of it."""

import pytest
from sqlalchemy import select

from app.audit.log import SYSTEM, AuditEntry
from app.core.db.orm import writing
from app.core.errors import Refused
from app.database import secrets
from app.notifications import channel_settings, channels
from app.notifications.models import Channel

NTFY = {"url": "http://127.0.0.1:9/", "topic": "alarms"}


@pytest.fixture
def make(db, clock):
    def make(name: str = "second", kind: str = "ntfy", is_enabled: bool = True, **values) -> Channel:
        given = {**NTFY, **values} if kind == "ntfy" else values
        return channel_settings.create_channel(kind, name, given, is_enabled=is_enabled, actor=SYSTEM, now=clock())

    return make


@pytest.fixture
def change(db, clock):
    def change(row: Channel, cleared=(), is_enabled: bool = True, **values) -> Channel:
        options = {"cleared": cleared, "is_enabled": is_enabled, "actor": SYSTEM, "now": clock()}
        return channel_settings.change_channel(row.id, values, **options)

    return change


@pytest.fixture
def entries(db):
    def read() -> list[AuditEntry]:
        return list(db.session.scalars(select(AuditEntry).where(AuditEntry.target_type == "channel")))

    return read


def test_a_second_channel_of_a_kind_is_kept_next_to_the_first(make):
    make("Night watch")
    assert [row.name for row in channels.list_channels() if row.kind == "ntfy"] == ["Night watch", "ntfy"]


def test_a_name_is_unique_for_each_kind(make):
    make("second")
    with pytest.raises(Refused, check=lambda error: error.status == 409):
        make(" second ", topic="other")


@pytest.mark.parametrize("name", ["", "  ", "x" * 65])
def test_a_channel_needs_a_name_within_limits(make, name):
    with pytest.raises(Refused, match="name"):
        make(name)


def test_a_rejected_channel_leaves_nothing_stored(make, entries):
    with pytest.raises(Refused):
        make(topic="not a topic")
    assert len(channels.list_channels()) == 1
    assert entries() == []


def test_a_reset_setting_has_the_default_of_the_schema(make, change):
    mail = {"host": "mail", "port": 25, "mailto": "a@b", "connection_type": "ssl", "password": "pw-secret"}
    row = make("email", "email", **mail)
    row = change(row, cleared=("connection_type", "password"))
    loaded = channels.load_settings(row)
    assert loaded["connection_type"] == "starttls"
    assert loaded["password"] == ""


def test_a_required_setting_cannot_be_reset(make, change):
    row = make()
    with pytest.raises(Refused) as caught:
        change(row, cleared=("topic",))
    assert list(caught.value.extra["fields"]) == ["topic"]
    assert channels.load_settings(row)["topic"] == "alarms"


def test_enabling_changes_nothing_else_and_is_audited_once(make, entries, clock):
    row = make(token="tk_secret")
    for _ in range(2):
        channel_settings.switch_channel(row.id, is_enabled=False, actor=SYSTEM, now=clock())
    assert row.is_enabled is False
    assert channels.load_settings(row)["token"] == "tk_secret"
    assert [entry.details["changes"] for entry in entries()[1:]] == [{"is_enabled": {"old": True, "new": False}}]


def test_a_channel_of_a_missing_kind_can_be_disabled_and_deleted(db, clock):
    with writing() as session:
        gone = {"kind": "pigeon", "name": "pigeon", "settings": {"loft": "x"}}
        session.add(Channel(**gone, created_at=clock(), updated_at=clock()))
    row = channels.list_channels()[-1]
    channel_settings.switch_channel(row.id, is_enabled=False, actor=SYSTEM, now=clock())
    channel_settings.remove_channel(row.id, actor=SYSTEM, now=clock())
    assert [row.kind for row in channels.list_channels()] == ["ntfy"]


def test_the_audit_log_contains_changes_but_no_secret(make, change, entries):
    change(make(token="tk_secret"), topic="others", token="tk_newer")
    made, changed = entries()
    assert made.details["isNew"] is True
    assert changed.details["changes"] == {"topic": {"old": "alarms", "new": "others"}}
    assert changed.details["replaced"] == ["token"]
    assert "tk_" not in str([made.details, changed.details])


def test_deleting_is_audited_and_done_once(make, entries, clock):
    row_id = make().id
    channel_settings.remove_channel(row_id, actor=SYSTEM, now=clock())
    assert entries()[-1].action == "channel_deleted"
    with pytest.raises(Refused, check=lambda error: error.status == 404):
        channel_settings.remove_channel(row_id, actor=SYSTEM, now=clock())


def test_undecryptable_settings_are_left_out_named_and_cleared_at_the_next_save(make, change):
    row = make("email", "email", host="mail", port=25, mailto="a@b", username="watcher", password="pw-secret")
    sound = row.settings
    closed = secrets.encrypt("x")[:-4] + "0000"
    with writing():
        row.settings = {**sound, "username": closed, "password": closed}
    assert channels.unreadable_settings(row) == {"username", "password"}
    assert "username" not in channels.visible_settings(row)
    change(row, username="watcher")
    assert channels.unreadable_settings(row) == frozenset()
    assert channels.load_settings(row)["username"] == "watcher"
    assert channels.load_settings(row)["password"] == ""
