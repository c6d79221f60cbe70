"""The contract test of every channel of the tree, built in or separately installable."""

import distributions
import pytest
from marshmallow import Schema

from app.core.errors import Refused
from app.notifications import channels
from app.plugin import NotificationChannel
from app.plugin.testing.channels import ChannelContract
from app.registry import NOTIFICATION_CHANNELS, discover
from plugins.apprise.tests.test_apprise import TestApprise as AppriseTests
from plugins.email.tests.test_email import TestEmail as EmailTests
from plugins.ntfy.tests.test_ntfy import TestNtfy as NtfyTests
from plugins.webhook.tests.test_webhook import TestWebhook as WebhookTests

IN_THE_TREE = {"ntfy": NtfyTests, "email": EmailTests, "webhook": WebhookTests, "apprise": AppriseTests}


def test_each_channel_of_the_tree_has_its_contract_test():
    found = discover()
    ours = {
        name: kind
        for name, kind in found.channels.items()
        if found.sources[NOTIFICATION_CHANNELS, name] in distributions.NAMES
    }
    assert {name: tests.channel_class for name, tests in IN_THE_TREE.items()} == ours
    assert all(issubclass(tests, ChannelContract) for tests in IN_THE_TREE.values())


def test_a_webhook_is_stored_encrypted_and_a_change_keeps_the_rest(db, clock):
    given = {"url": "https://hooks.example.org/T0/token", "secret": "signing", "headers": "X-Key: opensesame"}
    row = channels.save_settings("webhook", "hook", given, now=clock())
    assert not [word for word in ("token", "signing", "opensesame") if word in str(row.settings)]
    changed = channels.save_settings("webhook", "hook", {"url": "https://hooks.example.org/T1/other"}, now=clock())
    assert channels.load_settings(changed) == {
        **given,
        "url": "https://hooks.example.org/T1/other",
        "verifies_certificate": True,
    }


def test_the_addresses_of_apprise_are_encrypted_and_not_shown(db, clock):
    row = channels.save_settings("apprise", "all", {"urls": "json://u:opensesame@127.0.0.1/"}, now=clock())
    assert "opensesame" not in str(row.settings)
    assert channels.visible_settings(row) == {"has_urls": True}


def test_an_invalid_address_of_apprise_is_reported_without_the_address(db, clock):
    with pytest.raises(Refused, match="Line 1") as caught:
        channels.save_settings("apprise", "all", {"urls": "nothing://opensesame"}, now=clock())
    assert "opensesame" not in str(caught.value.message) + str(caught.value.extra)


def test_deprecated_names_of_channel_methods_still_work():
    class OldChannel(NotificationChannel):
        name = label = "old"
        Settings = Schema

        def send(self, message):
            """Send nothing."""

        def facts(self, target=None):
            return {"server": "old"}

        @classmethod
        def lacks(cls, settings):
            return ("password",)

        def subscription(self, target=None):
            return "old://topic"

    channel = OldChannel({})
    assert channel.audit_details() == {"server": "old"}
    assert OldChannel.missing_settings({}) == ("password",)
    assert channel.subscribe_url() == "old://topic"
