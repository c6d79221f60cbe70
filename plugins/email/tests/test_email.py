"""Email: the common contract, and what is specific to it."""

import base64
import hmac
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from marshmallow import ValidationError

from app.plugin import DeliveryError, Message
from app.plugin.testing.channels import SECRET, ChannelContract
from app.plugin.testing.mail_servers import MailServer, mail_server
from plugins.email import EmailChannel, EmailSettings

pytestmark = pytest.mark.slow


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

    def test_the_email_has_text_and_html(self) -> None:
        self.channel().send(self.message(body="A body", html="A <strong>body</strong>"))
        [letter] = self.server.letters
        kinds = [part.get_content_type() for part in letter.walk()]
        assert kinds == ["multipart/alternative", "text/plain", "text/html"]
        assert "<strong>body</strong>" in letter.get_body(("html",)).get_content()

    def test_the_email_has_sender_and_recipients(self) -> None:
        self.channel(mailto="one@example.org, two@example.org", sender_name="Wächter").send(self.message())
        [letter] = self.server.letters
        assert letter["From"] == "Wächter <watch@example.org>"
        assert sorted(address.addr_spec for address in letter["To"].addresses) == ["one@example.org", "two@example.org"]
        assert sorted(self.server.envelopes[0].rcpt_tos) == ["one@example.org", "two@example.org"]

    def test_the_default_sender_name_is_duplistatus(self) -> None:
        self.channel(sender_name="").send(self.message())
        assert self.server.letters[0]["From"] == "duplistatus <watch@example.org>"

    def test_a_target_replaces_the_recipients(self) -> None:
        self.channel().send(self.message(target="extra@example.org"))
        assert self.server.envelopes[0].rcpt_tos == ["extra@example.org"]

    def test_every_attempt_has_the_same_message_id(self) -> None:
        for _ in range(2):
            self.channel().send(self.message())
        first, second = self.server.letters
        assert first["Message-ID"] == second["Message-ID"] == "<0b7c-1@example.org>"

    def test_a_title_of_two_lines_becomes_one(self) -> None:
        self.channel().send(self.message(title="one\r\nBcc: evil@example.org"))
        [letter] = self.server.letters
        assert letter["Subject"] == "one Bcc: evil@example.org"
        assert letter["Bcc"] is None

    def test_a_wrong_password_is_reported_as_permanent(self) -> None:
        error = self.fail(self.channel(password="wrong-password"))
        assert "username or password" in str(error)
        assert error.permanent
        assert "wrong-password" not in str(error)

    def test_missing_starttls_is_reported_as_permanent(self) -> None:
        error = self.fail(self.channel(connection_type="starttls"))
        assert "starttls" in str(error)
        assert error.permanent
        assert self.server.letters == []

    def test_tls_to_a_plain_server_is_reported(self) -> None:
        assert "TLS" in str(self.fail(self.channel(connection_type="ssl")))

    def test_a_rejected_message_is_reported_with_the_servers_reply(self) -> None:
        self.server.message_answer = "554 looks like spam"
        error = self.fail(self.channel())
        assert "looks like spam" in str(error)
        assert error.permanent

    def test_without_a_sender_address_nothing_is_sent(self) -> None:
        error = self.fail(self.channel(from_address="", username="watch"))
        assert error.permanent
        assert self.server.letters == []

    def test_plain_connection_does_not_take_the_username_as_sender(self) -> None:
        assert self.fail(self.channel(from_address="", username="watch@example.org")).permanent


def test_a_hanging_server_fails_after_the_time_limit(monkeypatch) -> None:
    monkeypatch.setattr("plugins.email.TIMEOUT_S", 0.2)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(DeliveryError, match="did not answer") as caught,
    ):
        open_email(settings_for(MailServer(port=silent.getsockname()[1]))).send(Message("A title", "A body"))
    assert not caught.value.permanent


@contextmanager
def slow_mail_server(behave: Callable[[socket.socket, threading.Event], None]) -> Iterator[MailServer]:
    """Run a server that handles its only client with a function, until the end of the block."""
    over = threading.Event()

    def answer() -> None:
        with suppress(OSError), listener.accept()[0] as caller:
            behave(caller, over)
            over.wait(60)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield MailServer(port=listener.getsockname()[1])
        over.set()
        thread.join()


def talk(caller: socket.socket, *answers: bytes) -> None:
    """Send the greeting, and answer so many commands."""
    caller.sendall(b"220 here\r\n")
    for answer in answers:
        caller.recv(65_536)
        caller.sendall(answer)


def repeat(piece: bytes, *answers: bytes, pause_s: float = 0.05) -> Callable[[socket.socket, threading.Event], None]:
    """Answer so many commands, and then send a part repeatedly."""

    def behave(caller: socket.socket, over: threading.Event) -> None:
        if answers:
            talk(caller, *answers)
        while not over.wait(pause_s):
            caller.sendall(piece)

    return behave


OK, GO_ON = b"250 fine\r\n", b"354 go on\r\n"
UP_TO_THE_END = (OK, OK, OK, GO_ON, b"")


@pytest.mark.parametrize(
    "behave",
    [
        repeat(b"220-x\r\n"),
        repeat(b"2"),
        repeat(b"5", b""),
        repeat(b"250-more\r\n", b""),
        repeat(b"354-wait\r\n", OK, OK, OK, b""),
        repeat(b"", *UP_TO_THE_END),
        repeat(b"250-x\r\n", *UP_TO_THE_END),
    ],
    ids=["greeting", "greeting-by-byte", "hello-by-byte", "hello", "data", "silent-after-data", "slow-after-data"],
)
def test_whole_exchange_has_a_time_limit(monkeypatch, behave) -> None:
    monkeypatch.setattr("plugins.email.TIMEOUT_S", 0.5)
    with slow_mail_server(behave) as server, pytest.raises(DeliveryError, match="did not answer") as caught:
        open_email(settings_for(server)).send(Message("A title", "A body"))
    assert not caught.value.permanent


@pytest.mark.parametrize(
    "behave",
    [repeat(b"220-x\r\n" * 10_000, pause_s=0), repeat(b"2" * 9_000, pause_s=0), repeat(b"250-" * 4_000, OK, b"")],
    ids=["lines", "one-line", "one-line-later"],
)
def test_flood_ends_the_exchange(behave) -> None:
    with slow_mail_server(behave) as server, pytest.raises(DeliveryError, match="unexpected reply") as caught:
        open_email(settings_for(server)).send(Message("A title", "A body"))
    assert not caught.value.permanent


@pytest.mark.parametrize("connection_type", ["starttls", "ssl"])
def test_slow_handshake_fails_after_the_time_limit(monkeypatch, connection_type: str) -> None:
    monkeypatch.setattr("plugins.email.TIMEOUT_S", 0.5)
    answers = (b"250-here\r\n250 STARTTLS\r\n", b"220 go on\r\n") if connection_type == "starttls" else ()

    def behave(caller: socket.socket, over: threading.Event) -> None:
        if answers:
            talk(caller, *answers)
        caller.recv(65_536)
        caller.sendall(b"\x16\x03\x03\x40\x00")
        repeat(b"\0")(caller, over)

    with slow_mail_server(behave) as server, pytest.raises(DeliveryError, match="did not answer") as caught:
        open_email(settings_for(server, connection_type=connection_type)).send(Message("A title", "A body"))
    assert not caught.value.permanent


def test_server_that_reads_nothing_fails_after_the_time_limit(monkeypatch) -> None:
    monkeypatch.setattr("plugins.email.TIMEOUT_S", 0.5)
    body = "x" * 20_000_000
    with slow_mail_server(lambda caller, _over: talk(caller, OK, OK, OK, GO_ON)) as server:
        with pytest.raises(DeliveryError, match="did not answer") as caught:
            open_email(settings_for(server)).send(Message("A title", body))
        assert not caught.value.permanent


def test_accepted_email_counts_as_delivered_despite_later_errors(monkeypatch) -> None:
    monkeypatch.setattr("plugins.email.TIMEOUT_S", 0.5)
    with slow_mail_server(lambda caller, _over: talk(caller, OK, OK, OK, GO_ON, OK)) as server:
        open_email(settings_for(server)).send(Message("A title", "A body"))


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "224.0.0.1", "100.100.100.200", "2852039166"])
def test_forbidden_addresses_are_rejected_permanently(host: str) -> None:
    with pytest.raises(DeliveryError, match="not allowed") as caught:
        open_email(settings_for(MailServer(host=host, port=9))).send(Message("A title", "A body"))
    assert caught.value.permanent


def test_name_that_resolves_to_a_forbidden_address_is_rejected(monkeypatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 25))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: found)
    with pytest.raises(DeliveryError, match="not allowed"):
        open_email(settings_for(MailServer(host="mail.example", port=25))).send(Message("A title", "A body"))


class TestLogin:
    """Usernames and passwords are sent in UTF-8 by each mechanism."""

    @pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
    def test_non_ascii_characters_are_sent_as_utf8(self, monkeypatch, mechanism: str) -> None:
        monkeypatch.setattr("smtplib.SMTP.has_extn", lambda _smtp, _name: True)
        with mail_server(password="pässwörd-東京") as server:
            monkeypatch.setattr(
                "plugins.email.TimedSmtp.ehlo_or_helo_if_needed",
                lambda smtp: (smtp.ehlo(), smtp.esmtp_features.update(auth=mechanism)),
            )
            settings = settings_for(server, password="pässwörd-東京", username="wächter")
            open_email(settings).send(Message("A title", "A body"))
        assert len(server.letters) == 1

    def test_cram_md5_accepts_non_ascii_characters(self) -> None:
        received: list[bytes] = []

        def behave(caller: socket.socket, _over: threading.Event) -> None:
            talk(caller, b"250-here\r\n250 AUTH CRAM-MD5\r\n", b"334 PDE+\r\n")
            received.append(caller.recv(65_536))
            caller.sendall(b"535 no\r\n")

        with slow_mail_server(behave) as server, pytest.raises(DeliveryError, match="username or password"):
            open_email(settings_for(server, password="ä", username="wächter")).send(Message("A title", "A body"))
        digest = hmac.new("ä".encode(), b"<1>", "md5").hexdigest()
        assert base64.b64decode(received[0]).decode() == f"wächter {digest}"

    def test_wrong_password_with_non_ascii_characters_is_not_shown(self) -> None:
        with mail_server(password="other") as server, pytest.raises(DeliveryError) as caught:
            open_email(settings_for(server, password="pässwörd", username="wächter")).send(Message("A title", "A body"))
        assert caught.value.permanent
        assert not {"pässwörd", "wächter"} & set(str(caught.value).split())


@pytest.mark.parametrize("target", ["a@example.org\r\nBcc: b@example.org", "ä@example.org"])
def test_unsendable_address_is_rejected_permanently(target: str) -> None:
    with mail_server() as server, pytest.raises(DeliveryError, match="address") as caught:
        open_email(settings_for(server)).send(Message("A title", "A body", target=target))
    assert caught.value.permanent
    assert server.letters == []


@pytest.mark.parametrize("connection_type", ["starttls", "ssl"])
def test_an_untrusted_certificate_is_rejected(connection_type: str) -> None:
    with mail_server(connection_type) as server, pytest.raises(DeliveryError, match="certificate"):
        open_email(settings_for(server, connection_type=connection_type)).send(Message("A title", "A body"))
    assert server.letters == []


@pytest.mark.parametrize("connection_type", ["starttls", "ssl"])
def test_an_untrusted_certificate_is_accepted_if_configured(connection_type: str) -> None:
    with mail_server(connection_type) as server:
        settings = settings_for(server, connection_type=connection_type, verifies_certificate=False)
        open_email(settings).send(Message("A title", "A body"))
    assert len(server.letters) == 1


@pytest.mark.parametrize("connection_type", ["starttls", "ssl"])
def test_a_trusted_certificate_is_verified_and_accepted(connection_type: str, tmp_path, monkeypatch) -> None:
    with mail_server(connection_type) as server:
        trusted = tmp_path / "trusted.pem"
        trusted.write_bytes(server.certificate_pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        assert ssl.get_default_verify_paths().cafile == str(trusted)
        open_email(settings_for(server, connection_type=connection_type)).send(Message("A title", "A body"))
    assert len(server.letters) == 1


def test_no_login_is_sent_when_disabled() -> None:
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
def test_login_needs_a_password_and_no_login_needs_a_sender(settings, names):
    assert EmailChannel.missing_settings(settings) == names


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("port", 0),
        ("port", 65536),
        ("connection_type", "tls"),
        ("mailto", "nobody"),
        ("mailto", "a@b\r\nBcc: c@d"),
        ("from_address", "nobody"),
        ("from_address", "a@b\nBcc: c@d"),
        ("sender_name", "Me\r\nBcc: c@d"),
        ("username", "a@b\n"),
        ("host", "mail\r\n"),
    ],
)
def test_invalid_settings_are_rejected(field: str, value: object) -> None:
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
