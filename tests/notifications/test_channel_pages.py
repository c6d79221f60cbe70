"""The tab of the notification channels: the list, a form for every kind of field, tests, history, permissions."""

import enum
import re
import uuid
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

import pytest
from marshmallow import Schema, ValidationError, fields, validate, validates_schema
from sqlalchemy import select

from app.accounts import passwords
from app.accounts.models import ServerAccess, User
from app.audit.log import AuditEntry, read_group
from app.backups.models import Job
from app.core.db.orm import writing
from app.insight import insight
from app.notifications import channels, watchdogs
from app.notifications.models import Channel, Delivery
from app.plugin import DeliveryError, Message, NotificationChannel
from app.plugin.testing.http_servers import Answer, recording_server
from app.registry import NOTIFICATION_CHANNELS, Broken

SECRET = "tk_Geheim-77"
PASSWORD = "Viewer1234"


class Tone(enum.Enum):
    SOFT_VOICE = 1
    LOUD_VOICE = 2


class HornSettings(Schema):
    """One setting of each kind."""

    place = fields.String(required=True, validate=validate.Length(max=40), metadata={"label": "Place"})
    page = fields.Url(load_default="", metadata={"label": "Page", "placeholder": "https://example.org"})
    keeper = fields.Email(load_default="", metadata={"label": "Keeper"})
    blasts = fields.Integer(load_default=3, strict=True, validate=validate.Range(1, 9), metadata={"label": "Blasts"})
    volume = fields.Float(load_default=0.5, metadata={"label": "Volume"})
    tone = fields.Enum(Tone, load_default=Tone.SOFT_VOICE, metadata={"label": "Tone"})
    pause_s = fields.Integer(load_default=5, validate=validate.OneOf([5, 60]), metadata={"label": "Pause"})
    hears = fields.List(fields.String(), load_default=list, metadata={"label": "Who hears it"})
    motto = fields.String(load_default="", metadata={"label": "Motto", "multiline": True})
    is_muffled = fields.Boolean(load_default=True, metadata={"label": "Muffled"})
    code = fields.String(required=True, validate=validate.Length(max=20), metadata={"label": "Code", "secret": True})

    @validates_schema(skip_on_field_errors=True)
    def check_quiet_hours(self, data, **_options):
        if data["place"] == "church" and data["blasts"] > 5:
            raise ValidationError("Not so often at the church.")


class HornChannel(NotificationChannel):
    """A horn."""

    name, label = "horn", "Horn"
    Settings = HornSettings

    def send(self, message: Message) -> None:
        if self.settings["place"] == "valley":
            raise DeliveryError(f"Nobody hears the horn with code {self.settings['code']}")


ENTRIES = {
    "name": "Hill horn",
    "is_enabled": "y",
    "setting_place": "hill",
    "setting_blasts": "4",
    "setting_volume": "0.75",
    "setting_tone": "LOUD_VOICE",
    "setting_pause_s": "60",
    "setting_hears": "anna\r\n ben \r\n\r\n",
    "setting_code": SECRET,
}


MARKS = {
    "setting_place": ['type="text"', "required", 'maxlength="40"'],
    "setting_page": ['type="url"', 'placeholder="https://example.org"'],
    "setting_keeper": ['type="email"'],
    "setting_blasts": ['type="number"', 'min="1"', 'max="9"', 'value="3"'],
    "setting_volume": ['type="number"', 'step="any"', 'value="0.5"'],
    "setting_tone": ["<select", "setting_tone"],
    "setting_hears": ["<textarea"],
    "setting_motto": ["<textarea"],
    "setting_is_muffled": ['type="checkbox"', "checked", 'role="switch"'],
    "setting_code": ['type="password"', "required", 'autocomplete="new-password"'],
}


@pytest.fixture
def registry(installed):
    broken = Broken(NOTIFICATION_CHANNELS, "drums", "duplistatus-drums", "ImportError: no module named 'sticks'")
    kinds = MappingProxyType({**installed.channels, "horn": HornChannel})
    return replace(installed, channels=kinds, broken=(*installed.broken, broken))


@pytest.fixture
def fill_in(admin):
    """Send the form of a new horn, or of a channel by its id; None leaves a value out."""

    def send(place: object = "new/horn", **changes):
        entries = {name: value for name, value in {**ENTRIES, **changes}.items() if value is not None}
        return admin.send("POST", f"/settings/channels/{place}", data=entries)

    return send


@pytest.fixture
def horn(fill_in, db):
    """A horn created by its form."""
    fill_in()
    return find("Hill horn", db)


@pytest.fixture
def viewer(app, clock):
    """A user who is no administrator, and sees some servers only."""
    with app.app_context(), writing() as session:
        user = User(id="viewer", username="viewer", password_hash=passwords.hash_password(PASSWORD))
        user.created_at = user.updated_at = clock.now
        session.add(user)
    visitor = app.test_client()
    visitor.sign_in("viewer", PASSWORD)
    return visitor


@pytest.fixture
def past_message(db, clock, post):
    """Add a message about a job of `nas` to the history of the standard ntfy channel; return its id."""
    post(status="Success")

    def add(state: str, error: str | None = None, event: str = "warning") -> int:
        row, job = channels.standard("ntfy"), db.session.scalars(select(Job)).one()
        with writing() as session:
            delivery = Delivery(
                idempotency_key=str(uuid.uuid4()), event=event, event_key=f"{state}-{error}-{event}", state=state
            )
            delivery.channel_id, delivery.job_id, delivery.payload = row.id, job.id, {"title": "t"}
            delivery.created_at = clock.now
            delivery.next_attempt_at = clock.now + timedelta(minutes=9)
            delivery.attempts, delivery.last_error = 3, error
            session.add(delivery)
            if error:
                channels.record_failure(session, row.id, error, clock.now)
        return delivery.id

    return add


def find(name: str, db) -> Channel:
    db.session.rollback()  # what was read before is outdated
    return db.session.scalars(select(Channel).where(Channel.name == name)).one()


def tag_of(page: str, name: str) -> str:
    """Return the opening tag of a form field."""
    [tag] = re.findall(rf'<(?:input|select|textarea)[^>]*\bname="{name}"[^>]*>', page)
    return tag


class TestList:
    def test_a_plugin_that_cannot_be_loaded_is_listed_with_its_reason(self, admin):
        page = admin.get("/settings?tab=channels").text
        assert "duplistatus-drums" in page
        assert "no module named &#39;sticks&#39;" in page

    def test_a_channel_with_a_missing_plugin_can_be_deleted(self, admin, db, clock):
        with writing() as session:
            session.add(Channel(kind="pigeon", name="Loft", settings={}, created_at=clock(), updated_at=clock()))
        row_id = find("Loft", db).id
        assert "Plugin missing" in admin.get("/settings?tab=channels").text
        assert "is not installed" in admin.get(f"/settings/channels/{row_id}").text
        admin.send("POST", f"/settings/channels/{row_id}/delete")
        assert "Plugin missing" not in admin.get("/settings?tab=channels").text

    def test_a_channel_with_missing_settings_is_incomplete(self, admin, db, clock):
        with writing() as session:
            session.add(Channel(kind="horn", name="horn", settings={}, created_at=clock(), updated_at=clock()))
        assert "Setup incomplete" in admin.get("/settings?tab=channels").text

    def test_failure_of_the_newest_message_is_shown(self, admin, past_message):
        past_message("queued", "ntfy: the server did not answer in time")
        page = admin.get("/settings?tab=channels").text
        assert "Delivery failing" in page
        assert "did not answer in time" in page

    def test_a_switch_sends_the_other_state(self, admin, horn, db):
        admin.send("POST", f"/settings/channels/{horn.id}/switch", data={"is_enabled": "0"})
        assert find("Hill horn", db).is_enabled is False
        assert re.search(
            rf'id="switch-{horn.id}"\s+role="switch"\s+aria-checked="false"', admin.get("/settings?tab=channels").text
        )
        admin.send("POST", f"/settings/channels/{horn.id}/switch", data={"is_enabled": "1"})
        assert find("Hill horn", db).is_enabled is True


class TestForm:
    def test_each_kind_of_setting_has_its_field(self, admin):
        page = admin.get("/settings/channels/new/horn").text
        assert {name: [mark for mark in marks if mark not in tag_of(page, name)] for name, marks in MARKS.items()} == {
            name: [] for name in MARKS
        }

    def test_choices_are_read_from_enumerations_and_validators(self, admin):
        page = admin.get("/settings/channels/new/horn").text
        assert '<option selected value="SOFT_VOICE">Soft voice</option>' in page
        assert '<option selected value="5">5</option>' in page

    def test_addresses_checked_by_the_host_s_own_validator_have_a_url_field(self, admin):
        assert 'type="url"' in tag_of(admin.get("/settings/channels/new/ntfy").text, "setting_url")

    def test_input_is_stored_in_the_types_of_the_schema(self, horn):
        loaded = channels.load_settings(horn)
        assert loaded["blasts"] == 4
        assert loaded["volume"] == 0.75
        assert loaded["tone"] is Tone.LOUD_VOICE
        assert loaded["pause_s"] == 60
        assert loaded["hears"] == ["anna", "ben"]
        assert loaded["is_muffled"] is False
        assert loaded["page"] == ""

    def test_stored_values_are_shown_again(self, admin, horn):
        page = admin.get(f"/settings/channels/{horn.id}").text
        assert 'value="hill"' in tag_of(page, "setting_place")
        assert '<option selected value="LOUD_VOICE">' in page
        assert "anna\nben</textarea>" in page.replace("\r\n", "\n")
        assert "checked" not in tag_of(page, "setting_is_muffled")

    def test_an_emptied_field_has_its_default(self, fill_in, horn, db):
        fill_in(horn.id, setting_blasts="", setting_code="")
        assert channels.load_settings(find("Hill horn", db))["blasts"] == 3

    def test_a_stored_required_secret_is_kept_and_cannot_be_removed(self, admin, fill_in, horn, db):
        page = admin.get(f"/settings/channels/{horn.id}").text
        assert "required" not in tag_of(page, "setting_code")
        assert "remove_code" not in page
        assert fill_in(horn.id, setting_code="", setting_place="top").status_code == 303
        assert channels.load_settings(find("Hill horn", db))["code"] == SECRET

    @pytest.mark.parametrize(
        ("name", "value", "sentence"),
        [
            ("place", "", "This field is required."),
            ("code", "", "This field is required."),
            ("blasts", "many", "Not a valid integer."),
            ("page", "not an address", "Not a valid URL."),
            ("keeper", "nobody", "Not a valid email address."),
            ("tone", "SHRILL", "Must be one of"),
        ],
    )
    def test_an_error_is_shown_at_its_field_with_the_input(self, fill_in, name, value, sentence):
        answer = fill_in(**{f"setting_{name}": value})
        assert answer.status_code == 400
        tag = tag_of(answer.text, f"setting_{name}")
        assert 'aria-invalid="true"' in tag
        assert f"setting_{name}-error" in tag
        assert "autofocus" in tag
        assert sentence in answer.text.partition(f'id="setting_{name}-error"')[2][:400]
        if value and name != "tone":
            assert f'value="{value}"' in tag
        assert SECRET not in answer.text

    def test_an_error_of_the_whole_form_is_shown_above_it(self, fill_in):
        answer = fill_in(setting_place="church", setting_blasts="9")
        assert answer.status_code == 400
        assert "Not so often at the church." in answer.text

    def test_a_missing_name_is_reported_at_the_name(self, fill_in):
        answer = fill_in(name=" ")
        assert 'aria-invalid="true"' in tag_of(answer.text, "name")

    def test_saving_can_send_a_test_in_one_step(self, admin, fill_in):
        answer = fill_in(then="test")
        assert "Saved. The test notification was delivered." in admin.get(answer.location).text

    def test_a_secret_must_be_entered_again_for_another_server(self, admin, db, clock):
        stored = {"url": "https://ntfy.home", "topic": "alarms", "token": SECRET}
        row_id = channels.save_settings("ntfy", "ntfy", stored, now=clock()).id
        moved = {"is_enabled": "y", "setting_url": "https://ntfy.example", "setting_topic": "alarms"}
        answer = admin.send("POST", f"/settings/channels/{row_id}", data=moved)
        assert answer.status_code == 400
        assert "belongs to another server" in answer.text.partition('id="setting_token-error"')[2][:200]
        given = {**moved, "remove_token": "y"}
        assert admin.send("POST", f"/settings/channels/{row_id}", data=given).status_code == 303

    def test_a_form_without_the_token_is_rejected(self, admin, db):
        assert admin.post("/settings/channels/new/horn", data=ENTRIES).status_code == 403
        assert channels.list_channels()[0].kind != "horn"


class TestTestMessages:
    def test_the_result_is_sent_as_a_fragment_for_htmx(self, admin, horn):
        headers = admin.csrf_headers() | {"HX-Request": "true"}
        answer = admin.post(f"/settings/channels/{horn.id}/test", headers=headers)
        assert "The test notification was delivered." in answer.text
        assert "<html" not in answer.text

    def test_the_reason_of_a_failure_is_shown_without_the_secret(self, admin, fill_in, horn):
        fill_in(horn.id, setting_place="valley")
        headers = admin.csrf_headers() | {"HX-Request": "true"}
        answer = admin.post(f"/settings/channels/{horn.id}/test", headers=headers)
        assert answer.status_code == 200
        assert "Not delivered. Nobody hears the horn" in answer.text
        assert SECRET not in answer.text

    def test_a_real_server_is_called(self, admin, db, clock):
        with recording_server() as server:
            row = channels.save_settings("ntfy", "ntfy", {"url": server.url, "topic": "alarms"}, now=clock())
            server.answers.append(Answer(403, b'{"code": 40301, "error": "forbidden"}'))
            path = f"/settings/channels/{row.id}/test"
            assert "403 forbidden" in admin.send("POST", path, follow_redirects=True).text
            assert "was delivered" in admin.send("POST", path, follow_redirects=True).text
        assert [request.json["topic"] for request in server.received] == ["alarms", "alarms"]

    def test_an_incomplete_channel_is_not_tested(self, admin, db, clock):
        with writing() as session:
            session.add(Channel(kind="horn", name="horn", settings={}, created_at=clock(), updated_at=clock()))
        path = f"/settings/channels/{find('horn', db).id}/test"
        assert "not complete yet" in admin.send("POST", path, follow_redirects=True).text

    def test_a_test_is_audited(self, admin, horn, db):
        admin.send("POST", f"/settings/channels/{horn.id}/test")
        db.session.rollback()
        [entry] = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "test_notification_sent"))
        assert (entry.username, entry.details["channel"]) == ("admin", "Horn")


class TestHeader:
    def test_administrators_see_a_failing_channel_with_its_reason_on_every_page(self, admin, viewer, past_message):
        past_message("failed", "ntfy: 403 <forbidden>")
        text = admin.get("/charts").text.partition("</header>")[0]
        for word in (
            "Delivery failing",
            f"/settings/channels/{channels.standard('ntfy').id}#history",
            "&lt;forbid",
        ):
            assert word in text, word
        assert "Delivery failing" not in viewer.get("/charts").text

    def test_the_page_and_the_tab_of_a_failing_channel_show_it(self, admin, past_message):
        past_message("failed", "down")
        text = admin.get("/settings?tab=ntfy").text.partition("</header>")[2]
        assert text.count("Delivery failing") == 2
        assert "Ready" not in text

    def test_nothing_is_shown_while_all_channels_work(self, admin, past_message):
        past_message("delivered")
        assert "Delivery failing" not in admin.get("/").text


class TestHistory:
    def test_it_shows_job_event_state_attempts_and_error(self, admin, past_message):
        past_message("failed", "ntfy: 403 forbidden", event="overdueBackup")
        page = admin.get(f"/settings/channels/{channels.standard('ntfy').id}").text.partition('id="history"')[2]
        for word in ("nas / Photos", "Overdue", "Failed", "ntfy: 403 forbidden", "Send again"):
            assert word in page, word

    def test_older_messages_are_on_further_pages(self, admin, past_message):
        for number in range(21):
            past_message("delivered", event=f"number {number} ")
        address = f"/settings/channels/{channels.standard('ntfy').id}"
        newest = admin.get(address).text
        assert "number 20 " in newest
        assert "number 0 " not in newest
        [older] = re.findall(rf'href="({address}\?before=\d+)#history"', newest)
        page = admin.get(older).text
        assert "number 0 " in page
        assert "number 1 " not in page
        assert f'href="{address}#history"' in page

    def test_a_failed_message_is_sent_again(self, admin, past_message, db):
        delivery_id = past_message("failed", "down")
        row_id = channels.standard("ntfy").id
        answer = admin.send("POST", f"/settings/channels/{row_id}/deliveries/{delivery_id}/again")
        assert answer.location == f"/settings/channels/{row_id}#history"
        db.session.rollback()
        again = db.session.get(Delivery, delivery_id, populate_existing=True)
        assert (again.state, again.attempts) == ("queued", 0)

    def test_a_delivered_message_cannot_be_sent_again(self, admin, past_message):
        delivery_id = past_message("delivered")
        row_id = channels.standard("ntfy").id
        page = admin.get(f"/settings/channels/{row_id}").text
        assert "/again" not in page
        assert admin.send("POST", f"/settings/channels/{row_id}/deliveries/{delivery_id}/again").status_code == 409

    def test_it_refreshes_only_while_messages_are_pending(self, admin, past_message):
        past_message("delivered")
        address = f"/settings/channels/{channels.standard('ntfy').id}/history"
        assert "hx-trigger" not in admin.get(address).text
        past_message("queued", "down")
        assert "hx-trigger" in admin.get(address).text


class TestOtherAccounts:
    def test_other_accounts_see_the_same_fields_read_only(self, viewer, horn):
        page = viewer.get(f"/settings/channels/{horn.id}").text
        assert '<fieldset class="entries" disabled>' in page
        assert "Only administrators can change settings." in page
        assert 'value="hill"' in page
        assert ">Save" not in page

    @pytest.mark.parametrize("path", ["new/horn", "{id}", "{id}/switch", "{id}/delete", "{id}/deliveries/1/again"])
    def test_other_accounts_cannot_post_changes(self, viewer, horn, db, path):
        answer = viewer.send("POST", f"/settings/channels/{path.format(id=horn.id)}", data=ENTRIES)
        assert answer.status_code == 403
        assert find("Hill horn", db).is_enabled

    def test_other_accounts_may_send_a_test(self, viewer, horn):
        path = f"/settings/channels/{horn.id}/test"
        assert "was delivered" in viewer.send("POST", path, follow_redirects=True).text

    def test_other_accounts_see_no_messages_of_hidden_servers(self, viewer, past_message, app):
        past_message("failed", "down")
        address = f"/settings/channels/{channels.standard('ntfy').id}"
        assert "nas / Photos" in viewer.get(address).text
        with app.app_context(), writing() as session:
            session.get(User, "viewer").sees_all_servers = False
        assert "nas / Photos" not in viewer.get(address).text
        with app.app_context(), writing() as session:
            session.add(ServerAccess(user_id="viewer", server_id="id-of-nas"))
        assert "nas / Photos" in viewer.get(address).text


class TestDeleting:
    def test_deleting_needs_confirmation(self, admin, horn, db):
        page = admin.get(f"/settings/channels/{horn.id}/delete").text
        assert "Delete Hill horn?" in page
        assert find("Hill horn", db)

    def test_the_dialog_contains_the_question_only(self, admin, horn):
        answer = admin.get(f"/settings/channels/{horn.id}/delete", headers={"HX-Request": "true"})
        assert "<html" not in answer.text
        assert 'formmethod="dialog"' in answer.text


def test_no_page_contains_a_secret(admin, horn, db):
    stored = horn.settings["code"]
    for path in (
        "?tab=channels",
        f"/channels/{horn.id}",
        f"/channels/{horn.id}/history",
        f"/channels/{horn.id}/delete",
    ):
        text = admin.get(f"/settings{path}").text
        assert SECRET not in text
        assert stored not in text


class TestQuietHours:
    def save(self, admin, horn, **entries):
        return admin.send("POST", f"/settings/channels/{horn.id}/quiet-hours", data=entries)

    def test_values_are_stored_and_shown(self, admin, horn, db):
        assert self.save(admin, horn, quiet_from="22:00", quiet_until="07:30", lets_trouble_pass="y").status_code == 303
        row = find("Hill horn", db)
        assert (row.quiet_from, row.quiet_until, row.quiet_lets_trouble_pass) == ("22:00", "07:30", True)
        page = admin.get(f"/settings/channels/{horn.id}").text
        assert "22:00 to 07:30" in page
        assert 'value="22:00"' in tag_of(page, "quiet_from")
        self.save(admin, horn, quiet_from="", quiet_until="")
        assert find("Hill horn", db).quiet_from is None

    @pytest.mark.parametrize(
        ("entries", "field"),
        [
            ({"quiet_from": "22:00"}, "quiet_until"),
            ({"quiet_from": "24:00", "quiet_until": "07:00"}, "quiet_from"),
            ({"quiet_from": "07:00", "quiet_until": "07:00"}, "quiet_until"),
        ],
    )
    def test_an_invalid_time_is_reported_at_its_field(self, entries, field, admin, horn, db):
        answer = self.save(admin, horn, **entries)
        assert answer.status_code == 400
        assert 'aria-invalid="true"' in tag_of(answer.text, field)
        assert 'value="hill"' in tag_of(answer.text, "setting_place")
        assert find("Hill horn", db).quiet_from is None


class TestLimits:
    def test_limits_are_stored_and_errors_reported_at_their_field(self, admin, db):
        values = {"silence_hours": "12", "channel_failure_hours": "0"}
        assert admin.send("POST", "/settings/channels/limits", data=values).status_code == 303
        assert list(read_group(watchdogs.ALARM_LIMITS).values()) == [12, 0, False]
        answer = admin.send("POST", "/settings/channels/limits", data=values | {"silence_hours": "-1"})
        assert answer.status_code == 400
        assert 'aria-invalid="true"' in tag_of(answer.text, "silence_hours")
        db.session.rollback()
        assert list(read_group(watchdogs.ALARM_LIMITS).values()) == [12, 0, False]

    def test_messages_about_unusual_runs_and_full_destinations_are_enabled_and_disabled(self, admin, db):
        page = admin.get("/settings?tab=channels").text
        assert "checked" in tag_of(page, "notifies_full")
        assert "checked" not in tag_of(page, "notifies_unusual")
        values = {"silence_hours": "48", "channel_failure_hours": "2", "notifies_unusual": "y"}
        assert admin.send("POST", "/settings/channels/limits", data=values).status_code == 303
        db.session.rollback()
        assert (insight.limits().tells, read_group(watchdogs.ALARM_LIMITS)["notifies_full"]) == (True, False)
        page = admin.get("/settings?tab=channels").text
        assert "checked" not in tag_of(page, "notifies_full")
        assert "checked" in tag_of(page, "notifies_unusual")

    def test_others_cannot_change_limits(self, viewer, horn):
        assert viewer.send("POST", "/settings/channels/limits", data={}).status_code == 403
        assert viewer.send("POST", f"/settings/channels/{horn.id}/quiet-hours", data={}).status_code == 403
