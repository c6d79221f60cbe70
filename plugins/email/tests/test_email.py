"""Mail: the common contract, and what is special about it."""

import socket
import ssl
from typing import Any

import pytest
from marshmallow import ValidationError

from app.contracts import DeliveryError, Message
from app.testing.channels import SECRET, ChannelContract
from app.testing.mail_servers import MailServer, mail_server
from plugins.email import EmailChannel, EmailSettings


class TestEmail(ChannelContract):
    channel_class = EmailChannel

    @pytest.fixture(autouse=True)
    def _stand_in(self):
        with mail_server(password=SECRET) as server:
            self.server: MailServer = server
            yield

    def settings(self) -> dict[str, Any]:
        return settings_for(self.server, password=SECRET)

    def unreachable_settings(self) -> dict[str, Any]:
        return {**self.settings(), "port": 9}

    def arrived(self) -> list[str]:
        return [f"{letter['Subject']}\n{text_of(letter)}" for letter in self.server.letters]

    def break_for_now(self) -> None:
        self.server.recipient_answer = "450 mailbox busy"

    def break_for_good(self) -> None:
        self.server.recipient_answer = "550 no such user"

    def test_the_letter_has_text_and_html(self) -> None:
        self.channel().send(self.message(body="A body", html="A <strong>body</strong>"))
        [letter] = self.server.letters
        kinds = [part.get_content_type() for part in letter.walk()]
        assert kinds == ["multipart/alternative", "text/plain", "text/html"]
        assert "<strong>body</strong>" in letter.get_body(("html",)).get_content()

    def test_sender_and_recipients_stand_in_the_letter(self) -> None:
        self.channel(mailto="one@example.org, two@example.org", sender_name="Wächter").send(self.message())
        [letter] = self.server.letters
        assert letter["From"] == "Wächter <watch@example.org>"
        assert sorted(address.addr_spec for address in letter["To"].addresses) == ["one@example.org", "two@example.org"]
        assert sorted(self.server.envelopes[0].rcpt_tos) == ["one@example.org", "two@example.org"]

    def test_the_sender_is_called_duplistatus_when_nothing_else_is_set(self) -> None:
        self.channel(sender_name="").send(self.message())
        assert self.server.letters[0]["From"] == "duplistatus <watch@example.org>"

    def test_a_target_replaces_the_recipients(self) -> None:
        self.channel().send(self.message(target="extra@example.org"))
        assert self.server.envelopes[0].rcpt_tos == ["extra@example.org"]

    def test_every_try_of_a_message_carries_the_same_message_id(self) -> None:
        for _ in range(2):
            self.channel().send(self.message())
        first, second = self.server.letters
        assert first["Message-ID"] == second["Message-ID"] == "<0b7c-1@example.org>"

    def test_a_title_of_two_lines_becomes_one(self) -> None:
        self.channel().send(self.message(title="one\r\nBcc: evil@example.org"))
        [letter] = self.server.letters
        assert letter["Subject"] == "one Bcc: evil@example.org"
        assert letter["Bcc"] is None

    def test_a_wrong_password_is_said_and_permanent(self) -> None:
        error = self.fail(self.channel(password="wrong-password"))
        assert "user name or password" in str(error)
        assert error.permanent
        assert "wrong-password" not in str(error)

    def test_starttls_to_a_server_without_it_is_said_and_permanent(self) -> None:
        error = self.fail(self.channel(connection_type="starttls"))
        assert "starttls" in str(error)
        assert error.permanent
        assert self.server.letters == []

    def test_tls_to_a_server_that_speaks_plain_is_said(self) -> None:
        assert "TLS" in str(self.fail(self.channel(connection_type="ssl")))

    def test_a_refused_message_is_told_with_the_servers_words(self) -> None:
        self.server.message_answer = "554 looks like spam"
        error = self.fail(self.channel())
        assert "looks like spam" in str(error)
        assert error.permanent

    def test_without_a_senders_address_nothing_is_sent(self) -> None:
        error = self.fail(self.channel(from_address="", username="watch"))
        assert error.permanent
        assert self.server.letters == []

    def test_plain_takes_no_user_name_for_the_senders_address(self) -> None:
        assert self.fail(self.channel(from_address="", username="watch@example.org")).permanent


def test_a_server_that_hangs_is_given_up_after_the_time_limit(monkeypatch) -> None:
    monkeypatch.setattr("plugins.email.TIMEOUT_S", 0.2)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(DeliveryError, match="did not answer") as caught,
    ):
        open_email(settings_for(MailServer(port=silent.getsockname()[1]))).send(Message("A title", "A body"))
    assert not caught.value.permanent


@pytest.mark.parametrize("connection_type", ["starttls", "ssl"])
def test_an_untrusted_certificate_is_refused(connection_type: str) -> None:
    with mail_server(connection_type) as server, pytest.raises(DeliveryError, match="certificate"):
        open_email(settings_for(server, connection_type=connection_type)).send(Message("A title", "A body"))
    assert server.letters == []


@pytest.mark.parametrize("connection_type", ["starttls", "ssl"])
def test_an_untrusted_certificate_is_taken_when_told_so(connection_type: str) -> None:
    with mail_server(connection_type) as server:
        settings = settings_for(server, connection_type=connection_type, verifies_certificate=False)
        open_email(settings).send(Message("A title", "A body"))
    assert len(server.letters) == 1


@pytest.mark.parametrize("connection_type", ["starttls", "ssl"])
def test_a_trusted_certificate_is_checked_and_taken(connection_type: str, tmp_path, monkeypatch) -> None:
    with mail_server(connection_type) as server:
        trusted = tmp_path / "trusted.pem"
        trusted.write_bytes(server.certificate_pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        assert ssl.get_default_verify_paths().cafile == str(trusted)
        open_email(settings_for(server, connection_type=connection_type)).send(Message("A title", "A body"))
    assert len(server.letters) == 1


def test_login_is_left_out_when_switched_off() -> None:
    with mail_server() as server:
        open_email(settings_for(server, requires_login=False, password="x")).send(Message("A title", "A body"))
    assert len(server.letters) == 1


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ["username", "password"]),
        ({"username": "u", "password": "p"}, []),
        ({"username": "u", "password": "p", "connection_type": "plain"}, ["from_address"]),
        ({"requires_login": False}, ["from_address"]),
        ({"requires_login": False, "from_address": "a@b"}, []),
    ],
)
def test_a_login_calls_for_a_password_and_else_a_sender_is_needed(settings, names):
    assert EmailChannel.lacks(settings) == names


@pytest.mark.parametrize(
    ("field", "value"),
    [("port", 0), ("port", 65536), ("connection_type", "tls"), ("mailto", "nobody"), ("from_address", "nobody")],
)
def test_settings_that_cannot_be_right_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        EmailSettings().load({"host": "mail", "port": 25, "mailto": "a@b", field: value})
    assert list(caught.value.messages) == [field]


def settings_for(server: MailServer, **changes: Any) -> dict[str, Any]:
    return {
        "host": server.host,
        "port": server.port,
        "connection_type": "plain",
        "username": "watch" if "password" in changes else "",
        "mailto": "admin@example.org",
        "from_address": "watch@example.org",
        **changes,
    }


def open_email(settings: dict[str, Any]) -> EmailChannel:
    return EmailChannel(EmailSettings().load(settings))


def text_of(letter: Any) -> str:
    return letter.get_body(("plain",)).get_content()
