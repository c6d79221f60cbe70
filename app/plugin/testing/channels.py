"""The contract of notification channels as tests. Subclass `ChannelContract`, say how to reach a stand-in, and run."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from marshmallow import Schema

from app.plugin import DeliveryError, Message, NotificationChannel, Severity
from app.plugin.testing.http_servers import Answer, RecordingServer, recording_server

SECRET = "s3cr3t-Kaese"  # noqa: S105 (made up, and looked for in error texts)
UNICODE = "Köln, 東京, 🕑 “quoted” <b>&amp;</b>"


class ChannelContract(ABC):
    """What every channel promises, tried against a stand-in on loopback.

    Give `channel_class`, and the methods below. Make the stand-in in a fixture; `app.plugin.testing` has one for HTTP
    and one for mail.
    """

    channel_class: ClassVar[type[NotificationChannel]]

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Settings that reach the stand-in, with `SECRET` as the value of every secret."""

    @abstractmethod
    def arrived(self) -> list[str]:
        """All text of each message that the stand-in got, title and body, decoded."""

    @abstractmethod
    def break_for_now(self) -> None:
        """Let the stand-in fail in a way that may pass, such as status 503."""

    @abstractmethod
    def break_for_good(self) -> None:
        """Let the stand-in refuse in a way that will not pass, such as status 403."""

    @abstractmethod
    def unreachable_settings(self) -> dict[str, Any]:
        """Settings that lead to a port where nobody listens."""

    def channel(self, **changes: Any) -> NotificationChannel:
        """The channel under test."""
        return self.open({**self.settings(), **changes})

    def open(self, settings: dict[str, Any]) -> NotificationChannel:
        """A channel from settings that went through its schema, as the host does it."""
        return self.channel_class(self.channel_class.Settings().load(settings))

    def message(self, **changes: Any) -> Message:
        """A message such as the host makes."""
        usual = {"title": "A title", "body": "A body", "html": "A body", "idempotency_key": "0b7c-1", "event": "test"}
        return Message(**{**usual, **changes})

    def fail(self, channel: NotificationChannel) -> DeliveryError:
        """The error of a send that has to fail."""
        with pytest.raises(DeliveryError) as caught:
            channel.send(self.message())
        return caught.value

    def test_names_itself(self) -> None:
        """Name and label are texts, and the settings a schema."""
        assert self.channel_class.name
        assert self.channel_class.name == self.channel_class.name.strip().lower()
        assert self.channel_class.label
        assert issubclass(self.channel_class.Settings, Schema)

    def test_every_setting_has_a_label(self) -> None:
        """The settings page is made from the schema."""
        unlabelled = [
            name for name, field in self.channel_class.Settings().fields.items() if not field.metadata.get("label")
        ]
        assert unlabelled == []

    def test_making_a_channel_opens_no_connection(self) -> None:
        """Only `send` may speak to anybody."""
        self.open(self.unreachable_settings())

    def test_a_message_arrives_once_with_title_and_body(self) -> None:
        """One `send`, one message."""
        self.channel().send(self.message(title="The title", body="The body", html="The body"))
        [text] = self.arrived()
        assert "The title" in text
        assert "The body" in text

    def test_unicode_arrives_unharmed(self) -> None:
        """Whatever the words, in title and body."""
        self.channel().send(self.message(title=UNICODE, body=UNICODE, html="x"))
        [text] = self.arrived()
        assert text.count(UNICODE) >= 2

    def test_what_a_phone_subscribes_to_holds_no_secret(self) -> None:
        """It is shown as a code on a screen that others may see."""
        channel = self.channel()
        fields = channel.Settings().fields
        secrets = [channel.settings.get(name) for name, field in fields.items() if field.metadata.get("secret")]
        assert not [secret for secret in secrets if secret and secret in (channel.subscription() or "")]

    @pytest.mark.parametrize("severity", list(Severity))
    def test_every_severity_is_taken(self, severity: Severity) -> None:
        """No level is refused."""
        self.channel().send(self.message(severity=severity))
        assert len(self.arrived()) == 1

    def test_a_message_without_html_link_and_tags_is_taken(self) -> None:
        """The optional parts are optional."""
        self.channel().send(Message(title="A title", body="A body"))
        assert len(self.arrived()) == 1

    def test_a_message_at_the_limits_arrives_whole(self) -> None:
        """The limits that the class names are not above what it can carry."""
        title, body = "t" * (self.channel_class.title_limit or 200), "b" * (self.channel_class.body_limit or 20_000)
        self.channel().send(self.message(title=title, body=body, html=body))
        [text] = self.arrived()
        assert title in text
        assert body in text

    def test_passing_trouble_is_worth_another_try(self) -> None:
        """The host tries again unless told that it will not help."""
        self.break_for_now()
        assert not self.fail(self.channel()).permanent

    def test_a_refusal_is_permanent(self) -> None:
        """Trying again would only annoy."""
        self.break_for_good()
        assert self.fail(self.channel()).permanent

    def test_a_closed_port_is_worth_another_try(self) -> None:
        """The server may be starting."""
        assert not self.fail(self.open(self.unreachable_settings())).permanent

    def test_error_texts_hold_no_secret(self) -> None:
        """They are shown to people and stored."""
        self.break_for_good()
        assert SECRET not in str(self.fail(self.channel()))
        assert SECRET not in str(self.fail(self.open({**self.unreachable_settings()})))

    def test_facts_hold_no_secret(self) -> None:
        """They stand in the audit log."""
        assert SECRET not in str(self.channel().facts())
        assert SECRET not in str(self.channel().facts("someone@example.org"))


class HttpChannelContract(ChannelContract):
    """The contract for a channel that speaks HTTP: the stand-in is here already. Give `settings_for`.

    `self.server` records the requests, and answers as told. Override `arrived` when a message travels in other places
    than a body of JSON, of a form, or of plain text.
    """

    server: RecordingServer

    @pytest.fixture(autouse=True)
    def _stand_in(self) -> Iterator[None]:
        with recording_server() as self.server:
            yield

    @abstractmethod
    def settings_for(self, url: str) -> dict[str, Any]:
        """Settings that lead to a server at `url`, with `SECRET` as the value of every secret."""

    def settings(self) -> dict[str, Any]:
        """Settings that reach the stand-in."""
        return self.settings_for(self.server.url)

    def unreachable_settings(self) -> dict[str, Any]:
        """Settings that lead to a port where nobody listens."""
        return self.settings_for("http://127.0.0.1:9")

    def arrived(self) -> list[str]:
        """What the stand-in got, decoded."""
        return [request.text for request in self.server.received]

    def break_for_now(self) -> None:
        """Be overloaded, and repeat what was sent."""
        self.server.standard = Answer(503, SECRET.encode())

    def break_for_good(self) -> None:
        """Refuse, and repeat what was sent."""
        self.server.standard = Answer(403, SECRET.encode())

    def test_a_redirect_is_not_followed(self) -> None:
        """The secret would travel with it."""
        self.server.answers = [Answer(307, headers={"Location": f"{self.server.url}/elsewhere"})]
        assert self.fail(self.channel()).permanent
        assert len(self.server.received) == 1

    @pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "0.0.0.0", "100.100.100.200"])  # noqa: S104
    def test_addresses_that_nobody_may_call_are_refused_for_good(self, host: str) -> None:
        """Link-local, none, and where cloud services keep credentials."""
        assert self.fail(self.open(self.settings_for(f"http://{host}"))).permanent

    def test_a_wait_that_the_server_asks_for_is_handed_on(self) -> None:
        """The outbox tries again after it."""
        self.server.standard = Answer(429, headers={"Retry-After": "7"})
        assert self.fail(self.channel()).retry_after_s == 7

    def test_a_server_that_hangs_up_is_worth_another_try(self) -> None:
        """It may be starting."""
        self.server.standard = Answer(hangs_up=True)
        assert not self.fail(self.channel()).permanent
