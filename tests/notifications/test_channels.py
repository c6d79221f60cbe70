"""Stored channels: secrets encrypted, settings checked, omitted values unchanged."""

import re
from dataclasses import replace
from datetime import date
from types import MappingProxyType

import pytest
from flask import current_app
from marshmallow import Schema, fields

from app.core.errors import Refused
from app.notifications import channels
from app.plugin import NotificationChannel
from app.runtime import registry, runtime_of


@pytest.fixture
def save(db, clock):
    def save(kind: str = "ntfy", name: str | None = None, **values):
        return channels.save_settings(kind, name or kind, values, now=clock())

    return save


def test_a_new_installation_has_a_random_topic(db):
    row = channels.standard("ntfy")
    assert row.settings["url"] == "https://ntfy.sh/"
    assert re.fullmatch(r"duplistatus-[A-Za-z0-9]{12}", row.settings["topic"])
    assert channels.random_topic() != channels.random_topic()


def test_the_standard_channel_is_created_once(db, clock):
    topic = channels.standard("ntfy").settings["topic"]
    channels.ensure_defaults(now=clock())
    assert [row.settings["topic"] for row in channels.list_channels()] == [topic]


def test_a_deleted_standard_channel_is_not_created_again_at_the_next_start(db, clock):
    channels.delete_channel(channels.standard("ntfy").id)
    channels.ensure_defaults(now=clock())
    assert channels.list_channels() == []


def test_a_secret_is_stored_encrypted_and_decrypted_for_sending(save):
    row = save(token="tk_secret")
    assert "tk_secret" not in str(row.settings)
    assert channels.load_settings(row)["token"] == "tk_secret"


def test_a_secret_is_never_shown(save):
    shown = channels.visible_settings(save(token="tk_secret"))
    assert "token" not in shown
    assert shown["has_token"] is True


def test_an_omitted_secret_is_unchanged(save):
    save(token="tk_secret")
    row = save(topic="other")
    assert channels.load_settings(row)["token"] == "tk_secret"
    assert row.settings["topic"] == "other"


def test_a_blank_secret_is_removed(save):
    save(token="tk_secret")
    row = save(token="")
    assert channels.load_settings(row)["token"] == ""
    assert channels.visible_settings(row)["has_token"] is False


ELSEWHERE = {
    "ntfy": ({"url": "https://ntfy.home", "token": "tk_secret"}, {"url": "https://ntfy.example"}, "token"),
    "email": (
        {"host": "mail.home", "port": 587, "mailto": "a@b", "password": "tk_secret"},
        {"host": "mail.example"},
        "password",
    ),
    "webhook": (
        {"url": "https://hook.home", "headers": "X-Key: tk_secret"},
        {"url": "https://hook.example"},
        "headers",
    ),
}


@pytest.mark.parametrize("kind", ELSEWHERE)
def test_a_secret_is_not_sent_to_another_server(save, kind):
    stored, moved, secret = ELSEWHERE[kind]
    save(kind, **stored)
    with pytest.raises(channels.SecretForOtherServer, match="Enter it again") as caught:
        save(kind, **moved)
    assert (caught.value.status, list(caught.value.extra["fields"])) == (400, [secret])
    assert "tk_secret" not in str(caught.value.extra)
    assert channels.load_settings(save(kind, **moved, **{secret: ""}))[secret] == ""


def test_a_secret_is_kept_if_only_the_path_of_the_address_changes(save):
    save(url="https://ntfy.home/", token="tk_secret")
    row = save(url="https://ntfy.home:443", topic="other")
    assert channels.load_settings(row)["token"] == "tk_secret"


def test_a_username_is_stored_encrypted_and_shown(save):
    row = save("email", host="mail", port=25, mailto="a@b", username="watcher", password="pw")
    assert "watcher" not in str(row.settings)
    assert channels.visible_settings(row)["username"] == "watcher"


def test_invalid_settings_are_rejected_and_named(save):
    before = dict(channels.standard("ntfy").settings)
    with pytest.raises(Refused) as caught:
        save(topic="not a topic")
    assert caught.value.status == 400
    assert caught.value.message.startswith("Topic: ")
    assert list(caught.value.extra["fields"]) == ["topic"]
    assert channels.standard("ntfy").settings == before


def test_a_new_channel_needs_its_settings(save):
    with pytest.raises(Refused, match="Server"):
        save("email", port=25, mailto="a@b")
    assert channels.standard("email") is None


def test_keys_outside_the_schema_are_not_stored(save):
    assert "enabled" not in save(enabled=True).settings


def test_an_unknown_kind_is_not_found(save):
    with pytest.raises(Refused, check=lambda error: error.status == 404):
        save("pigeon")


def test_a_disabled_channel_stays_disabled(save, clock):
    channels.save_settings("ntfy", "ntfy", {}, now=clock(), is_enabled=False)
    assert save(topic="other").is_enabled is False
    assert channels.usable() == []


def test_a_channel_is_deleted_once(save):
    row_id = save(name="second", url="http://127.0.0.1", topic="x").id
    channels.delete_channel(row_id)
    with pytest.raises(Refused, check=lambda error: error.status == 404):
        channels.delete_channel(row_id)


def test_short_secrets_are_not_removed_from_every_text(save):
    channel = channels.open_channel("ntfy", {"url": "http://x", "topic": "x", "token": "a"})
    assert channels.masked("a banana", channel) == "a banana"


def test_a_setting_of_any_type_is_read_once(db, clock, save, monkeypatch):
    class HornSettings(Schema):
        since = fields.Date(required=True)

    class HornChannel(NotificationChannel):
        name, label, Settings = "horn", "Horn", HornSettings

        def send(self, message):
            """Send nothing."""

    kinds = MappingProxyType({"horn": HornChannel})
    monkeypatch.setattr(runtime_of(current_app), "registry", replace(registry(), channels=kinds))
    row = save("horn", since="2031-05-04")
    assert channels.open_stored(row.kind, row.settings).settings == {"since": date(2031, 5, 4)}
