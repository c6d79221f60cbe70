"""Email via SMTP."""

import smtplib
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from email.charset import QP, Charset
from email.mime.base import MIMEBase
from email.mime.text import MIMEText
from email.utils import quote
from types import TracebackType
from typing import Any

import flask_mail
from flask import Flask
from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from app.plugin import (
    N_,
    DeliveryError,
    ForbiddenAddress,
    Message,
    NotificationChannel,
    open_connection,
    validate_one_line,
)
from app.plugin.http import TooMuchData, read_until, time_left

# For a whole SMTP session, from the connection to QUIT.
TIMEOUT_S = 20.0
# What a server may send in one session.
MOST_BYTES = 256 * 1024
PLAIN, STARTTLS, SSL = "plain", "starttls", "ssl"


class EmailSettings(Schema):
    """A mail server, how to connect to it, and the recipients."""

    host = fields.String(
        required=True,
        validate=[validate.Length(min=1), validate_one_line],
        metadata={"label": N_("Server"), "address": True},
    )
    port = fields.Integer(
        required=True,
        validate=validate.Range(1, 65535),
        metadata={"label": N_("Port"), "help": N_("Usually 587 (STARTTLS) or 465 (TLS)")},
    )
    connection_type = fields.String(
        load_default=STARTTLS,
        validate=validate.OneOf([STARTTLS, SSL, PLAIN], [N_("STARTTLS"), N_("TLS (SMTPS)"), N_("None (unencrypted)")]),
        metadata={
            "label": N_("Connection"),
            "help": N_("Unencrypted messages and passwords can be read in transit"),
            "proposes": {"port": {STARTTLS: 587, SSL: 465, PLAIN: 25}},
        },
    )
    verifies_certificate = fields.Boolean(
        load_default=True,
        metadata={
            "label": N_("Verify certificate"),
            "help": N_("Turn off only for self-signed certificates"),
        },
    )
    requires_login = fields.Boolean(load_default=True, metadata={"label": N_("Authentication required")})
    username = fields.String(
        load_default="", validate=validate_one_line, metadata={"label": N_("Username"), "encrypted": True}
    )
    password = fields.String(load_default="", metadata={"label": N_("Password"), "secret": True})
    mailto = fields.String(
        required=True,
        validate=[validate.Regexp(r"[^@]*@", error=N_("Enter an email address with an @.")), validate_one_line],
        metadata={"label": N_("Recipients"), "help": N_("Comma-separated")},
    )
    sender_name = fields.String(load_default="", validate=validate_one_line, metadata={"label": N_("From name")})
    from_address = fields.String(
        load_default="",
        validate=validate_one_line,
        metadata={"label": N_("From address"), "help": N_("Defaults to the username")},
    )

    @validates_schema(skip_on_field_errors=True)
    def check_sender(self, data: dict[str, Any], **_options: Any) -> None:
        """Check the sender's address, if there is one."""
        if data["from_address"] and "@" not in data["from_address"]:
            raise ValidationError(N_("Enter an email address with an @."), "from_address")


class EmailChannel(NotificationChannel):
    """One email per message, built by Flask-Mail; a target replaces the recipients."""

    name, label = "email", N_("Email")
    description = N_("Email via SMTP.")
    Settings = EmailSettings

    def send(self, message: Message) -> None:
        """Connect, log in, send.

        The Message-ID is the same at every attempt, so that a second copy is recognized.
        """
        sender = self._sender()
        # Flask-Mail stores its settings in an application: this one is only for this channel.
        state = Flask(flask_mail.__name__, static_folder=None)
        state.config.update(MAIL_SERVER=self.settings["host"], MAIL_PORT=self.settings["port"])
        mail = flask_mail.Mail().init_app(state)
        with state.app_context():
            email = QuotedPrintableMessage(
                subject=" ".join(message.title.split()),
                recipients=_addresses(message.target or self.settings["mailto"]),
                body=message.body,
                html=message.html or None,
                sender=sender,
            )
            for file in message.attachments:
                marks = {"Content-ID": f"<{file.content_id}>"}
                email.attach(file.name, file.mime_type, file.content, "inline", marks)
            if message.idempotency_key:
                email.msgId = f"<{message.idempotency_key}@{sender.rpartition('@')[2].rstrip('>')}>"
            try:
                with TimedConnection(mail, self.settings) as connection:
                    connection.send(email)
            except ForbiddenAddress as error:
                raise self.failure(str(error), permanent=True) from error
            except (flask_mail.BadHeaderError, UnicodeError) as error:
                text = N_("an address contains characters that the mail server does not accept")
                raise self.failure(text, permanent=True) from error
            except (smtplib.SMTPException, OSError) as error:
                raise self._explained(error) from error

    @classmethod
    def missing_settings(cls, settings: Mapping[str, Any]) -> Sequence[str]:
        """Return missing settings.

        The password of a username, and a sender's address if the username is none.
        """
        logs_in = settings.get("requires_login", True)
        needed = ["username", "password"] if logs_in else []
        if not logs_in or settings.get("connection_type") == PLAIN:
            needed.append("from_address")
        return [name for name in needed if not settings.get(name)]

    def audit_details(self, target: str | None = None) -> Mapping[str, Any]:
        """Return the server and the kind of connection.

        The recipient only if it is not the usual one.
        """
        mode = self.settings["connection_type"]
        return {
            **({"recipientEmail": target} if target else {}),
            "host": self.settings["host"],
            "port": self.settings["port"],
            "connectionType": mode,
            "secure": mode == SSL,
            "requireTLS": mode == STARTTLS,
            "ignoreTLS": mode == PLAIN,
            "requireAuth": self.settings["requires_login"],
        }

    def _sender(self) -> str:
        plain = self.settings["connection_type"] == PLAIN
        address = self.settings["from_address"] or ("" if plain else self.settings["username"])
        if "@" not in address:
            raise self.failure(N_("no From address is set, and the username is not an email address"), permanent=True)
        name = " ".join(self.settings["sender_name"].split()) or "duplistatus"
        return f'"{quote(name)}" <{address.strip()}>'

    def _explained(self, error: Exception) -> DeliveryError:
        """Return the error with a reason that helps to correct it.

        Only a permanent refusal is permanent.
        """
        server = f"{self.settings['host']}:{self.settings['port']}"
        mode = self.settings["connection_type"]
        permanent = isinstance(error, smtplib.SMTPResponseException) and 500 <= error.smtp_code < 600
        if isinstance(error, smtplib.SMTPAuthenticationError):
            text = N_("{place} rejected the username or password ({code})").format(place=server, code=error.smtp_code)
        elif isinstance(error, smtplib.SMTPRecipientsRefused):
            codes = [code for code, _ in error.recipients.values()]
            permanent = all(500 <= code < 600 for code in codes)
            listed = ", ".join(map(str, codes))
            text = N_("{place} rejected the recipients ({codes})").format(place=server, codes=listed)
        elif isinstance(error, smtplib.SMTPResponseException):
            answer = f"{error.smtp_code} {_text(error.smtp_error)}"
            text = N_("{place} rejected the message ({answer})").format(place=server, answer=answer)
        elif isinstance(error, smtplib.SMTPNotSupportedError):
            text = N_("{place} does not support the connection type {mode}: {error}")
            text, permanent = text.format(place=server, mode=mode, error=error), True
        elif isinstance(error, ssl.SSLCertVerificationError):
            text = N_("the certificate of {place} is not trusted ({reason})")
            text = text.format(place=server, reason=error.verify_message)
        elif isinstance(error, ssl.SSLError):
            text = N_("{place} does not support TLS with the connection type {mode}; check the port")
            text = text.format(place=server, mode=mode)
        elif isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
            text = N_("{place} did not answer within {seconds} s with the connection type {mode}")
            text = text.format(place=server, seconds=f"{TIMEOUT_S:.0f}", mode=mode)
        elif isinstance(error.__context__, TooMuchData | smtplib.SMTPResponseException):
            text = N_("unexpected reply from {place}; check the server and port").format(place=server)
        elif isinstance(error, smtplib.SMTPServerDisconnected):
            text = N_("{place} closed the connection; check that the connection type {mode} matches the port")
            text = text.format(place=server, mode=mode)
        else:
            text = N_("no connection to {place} ({error})").format(place=server, error=type(error).__name__)
        return self.failure(text, permanent=permanent)


class QuotedPrintableMessage(flask_mail.Message):
    """Flask-Mail's message as quoted-printable.

    Log lines may exceed the 998 characters that SMTP allows.
    """

    def _message(self) -> MIMEBase:
        """Return text and HTML as alternatives.

        Flask-Mail's outer part is used only for pictures. Pictures belong to the HTML that shows them, so that mail
        programs do not list them as attachments.
        """
        whole = super()._message()
        if self.attachments:
            whole.set_type("multipart/related")
        elif self.html:
            parts: Any = whole.get_payload()
            whole.set_type("multipart/alternative")
            whole.set_payload(parts[0].get_payload())
        return whole

    def _mimetext(self, text: str | None, subtype: str = "plain") -> MIMEText:
        encoding = Charset("utf-8")
        encoding.body_encoding = QP
        return MIMEText(text or "", subtype, encoding)  # type: ignore[arg-type]


class Utf8(str):
    """A username or password that smtplib sends as UTF-8.

    It expects ASCII otherwise (RFC 4616, RFC 2195).
    """

    def encode(self, *_arguments: Any, **_options: Any) -> bytes:
        """Return the bytes in UTF-8."""
        return super().encode()


class TimedSmtp(smtplib.SMTP):
    """An SMTP session that ends at an instant of `time.monotonic`.

    However slow the server is. The addresses of the server are checked before connecting. With `first_context`, TLS
    is used from the start.
    """

    def __init__(self, host: str, port: int, ends_at: float, first_context: ssl.SSLContext | None = None) -> None:
        self._ends_at, self._first_context = ends_at, first_context
        super().__init__(host, port, timeout=time_left(ends_at))

    def _get_socket(self, host: str, port: int, _timeout: float) -> socket.socket:
        connected = open_connection(host, port, self._ends_at)
        if self._first_context is None:
            return connected
        try:
            return self._first_context.wrap_socket(connected, server_hostname=host)
        except BaseException:
            connected.close()
            raise

    def getreply(self) -> tuple[int, bytes]:
        """Read a response in the remaining time.

        A line without end is not about the message.
        """
        if self.file is None and self.sock is not None:
            self.file = read_until(self.sock, self._ends_at, MOST_BYTES)
        try:
            return super().getreply()
        except smtplib.SMTPResponseException as error:
            raise smtplib.SMTPServerDisconnected("the line is too long") from error

    def send(self, s: Any) -> None:
        """Send in the remaining time."""
        if self.sock is not None:
            self.sock.settimeout(time_left(self._ends_at))
        super().send(s)

    def auth_cram_md5(self, challenge: Any = None) -> Any:
        """As smtplib, in UTF-8."""
        return None if challenge is None else Utf8(super().auth_cram_md5(challenge))

    def auth_plain(self, challenge: Any = None) -> str:
        """As smtplib, in UTF-8."""
        return Utf8(super().auth_plain(challenge))

    def auth_login(self, challenge: Any = None) -> str:
        """As smtplib, in UTF-8."""
        return Utf8(super().auth_login(challenge))


class TimedConnection(flask_mail.Connection):
    """Flask-Mail's connection with a time limit and checked certificates."""

    def __init__(self, mail: Any, settings: Mapping[str, Any]) -> None:
        super().__init__(mail)
        self.settings = settings

    def configure_host(self) -> smtplib.SMTP:
        """Connect, encrypt as configured, log in."""
        mode = self.settings["connection_type"]
        context = None if mode == PLAIN else self._context()
        ends_at = time.monotonic() + TIMEOUT_S
        host = TimedSmtp(self.settings["host"], self.settings["port"], ends_at, context if mode == SSL else None)
        try:
            if mode == STARTTLS:
                host.starttls(context=context)
            if self.settings["requires_login"] and self.settings["username"]:
                host.login(Utf8(self.settings["username"]), Utf8(self.settings["password"]))
        except BaseException:
            host.close()
            raise
        return host

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send QUIT; a server that no longer responds has accepted the email all the same."""
        if self.host is not None:
            with suppress(smtplib.SMTPException, OSError):
                self.host.quit()
            self.host.close()

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if not self.settings["verifies_certificate"]:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _addresses(text: str) -> list[str | tuple[str, str]]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _text(answer: bytes | str) -> str:
    return answer.decode(errors="replace")[:200] if isinstance(answer, bytes) else answer[:200]
