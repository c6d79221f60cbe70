"""The settings page of a channel is built from the schema of its plugin, also of a third-party one."""

from dataclasses import replace
from types import MappingProxyType

import pytest
from marshmallow import Schema, fields, validate
from sqlalchemy import select

from app.audit.log import AuditEntry
from app.notifications import channels
from app.notifications.models import Channel
from app.plugin import DeliveryError, Message, NotificationChannel

sent: list[tuple[str, Message]] = []


class PigeonSettings(Schema):
    """Settings of the pigeon."""

    loft = fields.String(required=True, metadata={"label": "Home loft", "help": "Its street and number"})
    speed = fields.Integer(load_default=60, validate=validate.Range(10, 120), metadata={"label": "Speed"})
    breed = fields.String(load_default="homer", validate=validate.OneOf(["homer", "fantail"], ["Homer", "Fantail"]))
    whistles = fields.Boolean(load_default=False, metadata={"label": "Whistles on arrival"})
    ring_code = fields.String(load_default="", metadata={"label": "Ring code", "secret": True})


class PigeonChannel(NotificationChannel):
    """Messages by carrier pigeon."""

    name, label = "pigeon", "Carrier pigeon"
    Settings = PigeonSettings

    def send(self, message: Message) -> None:
        """Send one."""
        if self.settings["loft"] == "nowhere":
            raise DeliveryError(f"The loft is not to be found with ring {self.settings['ring_code']}")
        sent.append((self.settings["loft"], message))


@pytest.fixture
def registry(installed):
    return replace(installed, channels=MappingProxyType({**installed.channels, "pigeon": PigeonChannel}))


@pytest.fixture
def fill_in(admin):
    """Send the form of a new pigeon, or of the one with a number."""

    def send(place: str = "new/pigeon", **entries):
        token = admin.csrf_headers()["X-CSRF-Token"]
        form = {
            "csrf_token": token,
            "name": "pigeon",
            "is_enabled": "y",
            "setting_loft": "Dyke 4",
            "setting_speed": "70",
        }
        form |= {"setting_breed": "fantail", "setting_ring_code": "", **entries}
        return admin.post(f"/settings/channels/{place}", data=form)

    return send


def stored(db) -> Channel:
    db.session.rollback()  # what was read before is outdated
    return db.session.scalars(select(Channel).where(Channel.kind == "pigeon")).one()


def test_every_installed_kind_is_listed(admin):
    page = admin.get("/settings?tab=channels").text
    assert all(label in page for label in ("Carrier pigeon", "ntfy", "Email"))


def test_form_follows_the_schema(admin):
    page = admin.get("/settings/channels/new/pigeon").text
    assert "Home loft" in page
    assert "Its street and number" in page
    assert 'min="10"' in page
    assert 'max="120"' in page
    assert '<option selected value="homer">Homer</option>' in page
    assert 'type="password"' in page


def test_channel_is_stored_and_sends_a_test(fill_in, admin, db):
    sent.clear()
    answer = fill_in()
    row = stored(db)
    assert answer.location.endswith(f"/settings/channels/{row.id}")
    assert channels.load_settings(row) | {"ring_code": ""} == {
        "loft": "Dyke 4",
        "speed": 70,
        "breed": "fantail",
        "whistles": False,
        "ring_code": "",
    }
    assert "was delivered" in admin.send("POST", f"/settings/channels/{row.id}/test", follow_redirects=True).text
    assert [loft for loft, _ in sent] == ["Dyke 4"]


def test_secret_is_never_shown_and_kept_until_it_is_removed(fill_in, admin, db):
    fill_in(setting_ring_code="NL-31-secret")
    row = stored(db)
    page = admin.get(f"/settings/channels/{row.id}").text
    assert "NL-31-secret" not in page
    assert "A value is stored. Leave blank to keep it." in page
    fill_in(str(row.id), setting_loft="Dyke 5")
    assert channels.load_settings(stored(db))["ring_code"] == "NL-31-secret"
    fill_in(str(row.id), remove_ring_code="y")
    assert channels.load_settings(stored(db))["ring_code"] == ""


def test_invalid_entry_is_reported_at_its_field_and_kept(fill_in, db):
    answer = fill_in(setting_speed="900", setting_loft="Long Street")
    assert answer.status_code == 400
    assert "setting_speed-error" in answer.text
    assert 'value="900"' in answer.text
    assert "Long Street" in answer.text
    assert db.session.scalars(select(Channel).where(Channel.kind == "pigeon")).first() is None


def test_two_channels_of_a_kind_need_two_names(fill_in, db):
    fill_in()
    answer = fill_in(setting_loft="Elsewhere")
    assert answer.status_code == 400
    assert "Another channel has this name. Choose a different one." in answer.text
    assert channels.load_settings(stored(db))["loft"] == "Dyke 4"


def test_failed_test_reports_the_reason_without_the_secret(fill_in, admin, db):
    fill_in(setting_loft="nowhere", setting_ring_code="NL-31-secret")
    page = admin.send("POST", f"/settings/channels/{stored(db).id}/test", follow_redirects=True).text
    assert "The loft is not to be found" in page
    assert "NL-31-secret" not in page


def test_channel_is_deleted_and_audited(fill_in, admin, db):
    fill_in()
    admin.send("POST", f"/settings/channels/{stored(db).id}/delete")
    db.session.rollback()
    assert db.session.scalars(select(Channel).where(Channel.kind == "pigeon")).first() is None
    actions = db.session.scalars(select(AuditEntry.action).where(AuditEntry.target_id == "pigeon")).all()
    assert actions == ["channel_saved", "channel_deleted"]


def test_others_may_read_and_test_but_not_change(fill_in, admin, app, db):
    fill_in()
    row = stored(db)
    new = {"username": "viewer", "password": "Viewer1234", "isAdmin": False, "requirePasswordChange": False}
    assert admin.send("POST", "/api/users", json=new).status_code == 201
    viewer = app.test_client()
    viewer.sign_in("viewer", "Viewer1234")
    page = viewer.get(f"/settings/channels/{row.id}").text
    assert "disabled" in page
    assert "Delete" not in page
    assert viewer.send("POST", f"/settings/channels/{row.id}", data={"setting_loft": "Mine"}).status_code == 403
    assert viewer.send("POST", f"/settings/channels/{row.id}/test").status_code == 303
    assert channels.load_settings(stored(db))["loft"] == "Dyke 4"


def test_unknown_kind_and_channel_are_not_found(admin):
    assert admin.get("/settings/channels/new/drum").status_code == 404
    assert admin.get("/settings/channels/999").status_code == 404


def test_a_secret_of_several_lines_keeps_its_lines_and_is_never_shown(admin, db):
    form = {
        "csrf_token": admin.csrf_headers()["X-CSRF-Token"],
        "name": "hook",
        "is_enabled": "y",
        "setting_url": "https://hooks.example.org/",
        "setting_headers": "X-One: opensesame\r\nX-Two: 2",
    }
    rejected = admin.post("/settings/channels/new/webhook", data=form | {"setting_url": "nowhere"}).text
    assert "textarea" in rejected
    assert "opensesame" not in rejected
    admin.post("/settings/channels/new/webhook", data=form)
    db.session.rollback()
    row = db.session.scalars(select(Channel).where(Channel.kind == "webhook")).one()
    assert channels.load_settings(row)["headers"].splitlines() == ["X-One: opensesame", "X-Two: 2"]
    assert "opensesame" not in admin.get(f"/settings/channels/{row.id}").text
