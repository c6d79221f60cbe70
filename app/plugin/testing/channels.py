"""Contract tests of notification channels.

Subclass `ChannelContract`, describe how to reach a fake server, and run.
"""

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
    """The contract of every channel, tested with a fake server on loopback.

    Set `channel_class`, and implement the methods below. Create the fake server in a fixture; `app.plugin.testing`
    has one for HTTP and one for email.
    """

    channel_class: ClassVar[type[NotificationChannel]]

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return settings that reach the fake server.

        Every secret has the value `SECRET`.
        """

    @abstractmethod
    def arrived(self) -> list[str]:
        """Return the whole text of each received message, title and body, decoded."""

    @abstractmethod
    def break_for_now(self) -> None:
        """Make the fake server fail temporarily, for example with status 503."""

    @abstractmethod
    def break_for_good(self) -> None:
        """Make the fake server refuse permanently, for example with status 403."""

    @abstractmethod
    def unreachable_settings(self) -> dict[str, Any]:
        """Return settings with a port on which nothing listens."""

    def channel(self, **changes: Any) -> NotificationChannel:
        """Return the channel under test."""
        return self.open({**self.settings(), **changes})

    def open(self, settings: dict[str, Any]) -> NotificationChannel:
        """Return a channel from settings that were loaded by its schema."""
        return self.channel_class(self.channel_class.Settings().load(settings))

    def message(self, **changes: Any) -> Message:
        """Return a message as the application makes it."""
        usual = {"title": "A title", "body": "A body", "html": "A body", "idempotency_key": "0b7c-1", "event": "test"}
        return Message(**{**usual, **changes})

    def fail(self, channel: NotificationChannel) -> DeliveryError:
        """Return the error of a send that must fail."""
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
        """Only `send` may open a connection."""
        self.open(self.unreachable_settings())

    def test_a_message_arrives_once_with_title_and_body(self) -> None:
        """One `send`, one message."""
        self.channel().send(self.message(title="The title", body="The body", html="The body"))
        [text] = self.arrived()
        assert "The title" in text
        assert "The body" in text

    def test_unicode_arrives_unharmed(self) -> None:
        """In title and body."""
        self.channel().send(self.message(title=UNICODE, body=UNICODE, html="x"))
        [text] = self.arrived()
        assert text.count(UNICODE) >= 2

    def test_what_a_phone_subscribes_to_holds_no_secret(self) -> None:
        """It is shown as a QR code on a screen that others may see."""
        channel = self.channel()
        fields = channel.Settings().fields
        secrets = [channel.settings.get(name) for name, field in fields.items() if field.metadata.get("secret")]
        assert not [secret for secret in secrets if secret and secret in (channel.subscribe_url() or "")]

    @pytest.mark.parametrize("severity", list(Severity))
    def test_every_severity_is_taken(self, severity: Severity) -> None:
        """No severity is refused."""
        self.channel().send(self.message(severity=severity))
        assert len(self.arrived()) == 1

    def test_a_message_without_html_link_and_tags_is_taken(self) -> None:
        """The optional parts are optional."""
        self.channel().send(Message(title="A title", body="A body"))
        assert len(self.arrived()) == 1

    def test_a_message_at_the_limits_arrives_whole(self) -> None:
        """The limits of the class are not above those of the service."""
        title, body = "t" * (self.channel_class.title_limit or 200), "b" * (self.channel_class.body_limit or 20_000)
        self.channel().send(self.message(title=title, body=body, html=body))
        [text] = self.arrived()
        assert title in text
        assert body in text

    def test_passing_trouble_is_worth_another_try(self) -> None:
        """The application retries unless the error is permanent."""
        self.break_for_now()
        assert not self.fail(self.channel()).permanent

    def test_a_refusal_is_permanent(self) -> None:
        """A retry would be useless."""
        self.break_for_good()
        assert self.fail(self.channel()).permanent

    def test_a_closed_port_is_worth_another_try(self) -> None:
        """The server may be starting."""
        assert not self.fail(self.open(self.unreachable_settings())).permanent

    def test_error_texts_hold_no_secret(self) -> None:
        """They are shown to users and stored."""
        self.break_for_good()
        assert SECRET not in str(self.fail(self.channel()))
        assert SECRET not in str(self.fail(self.open({**self.unreachable_settings()})))

    def test_audit_details_hold_no_secret(self) -> None:
        """They are recorded in the audit log."""
        assert SECRET not in str(self.channel().audit_details())
        assert SECRET not in str(self.channel().audit_details("someone@example.org"))


class HttpChannelContract(ChannelContract):
    """The contract of a channel that uses HTTP, with a fake server.

    Implement `settings_for`. `self.server` records the requests and sends the configured answers. Override `arrived`
    if a message is not in a body of JSON, of a form, or of plain text.
    """

    server: RecordingServer

    @pytest.fixture(autouse=True)
    def _stand_in(self) -> Iterator[None]:
        with recording_server() as self.server:
            yield

    @abstractmethod
    def settings_for(self, url: str) -> dict[str, Any]:
        """Return settings for a server at `url`.

        Every secret has the value `SECRET`.
        """

    def settings(self) -> dict[str, Any]:
        """Return settings that reach the fake server."""
        return self.settings_for(self.server.url)

    def unreachable_settings(self) -> dict[str, Any]:
        """Return settings with a port on which nothing listens."""
        return self.settings_for("http://127.0.0.1:9")

    def arrived(self) -> list[str]:
        """Return the received messages, decoded."""
        return [request.text for request in self.server.received]

    def break_for_now(self) -> None:
        """Answer with 503, and repeat the request."""
        self.server.standard = Answer(503, SECRET.encode())

    def break_for_good(self) -> None:
        """Answer with 403, and repeat the request."""
        self.server.standard = Answer(403, SECRET.encode())

    def test_a_redirect_is_not_followed(self) -> None:
        """The secret would be sent along."""
        self.server.answers = [Answer(307, headers={"Location": f"{self.server.url}/elsewhere"})]
        assert self.fail(self.channel()).permanent
        assert len(self.server.received) == 1

    @pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "0.0.0.0", "100.100.100.200"])  # noqa: S104
    def test_addresses_that_nobody_may_call_are_refused_for_good(self, host: str) -> None:
        """Link-local, unspecified, and where cloud services return credentials."""
        assert self.fail(self.open(self.settings_for(f"http://{host}"))).permanent

    def test_a_wait_that_the_server_asks_for_is_handed_on(self) -> None:
        """The next attempt is after that time."""
        self.server.standard = Answer(429, headers={"Retry-After": "7"})
        assert self.fail(self.channel()).retry_after_s == 7

    def test_a_server_that_hangs_up_is_worth_another_try(self) -> None:
        """The server may be starting."""
        self.server.standard = Answer(hangs_up=True)
        assert not self.fail(self.channel()).permanent
