"""POST each event as JSON to your URL, optionally signed."""

import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from marshmallow import Schema, ValidationError, fields

from app.plugin import N_, HttpChannel, Message, validate_http_url

VERSION = 1
HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)")
# Set by the channel or by HTTP itself; a second one would be contradictory.
OWN_HEADERS = frozenset(
    {"connection", "content-length", "content-type", "host", "idempotency-key", "transfer-encoding"}
)
OWN_PREFIX = "x-duplistatus-"
NOT_A_HEADER = N_("Line {number} is not a header. Enter “Name: value” in ASCII characters.")
OWN_HEADER = N_("Line {number} contains a header that is set by duplistatus. Remove it.")


def read_headers(text: str) -> dict[str, str]:
    """Return the headers of lines `Name: value`.

    Raise ValidationError with the line, not its value.
    """
    headers = {}
    for number, line in enumerate(text.splitlines(), 1):
        found = HEADER.fullmatch(line.strip())
        if line.strip() and not found:
            raise ValidationError(NOT_A_HEADER.format(number=number))
        if found and (found[1].lower() in OWN_HEADERS or found[1].lower().startswith(OWN_PREFIX)):
            raise ValidationError(OWN_HEADER.format(number=number))
        if found:
            headers[found[1]] = found[2]
    return headers


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """Return the signature of a body.

    `v1=` and HMAC-SHA256 over `timestamp.body`, in hexadecimal digits.
    """
    return "v1=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


class WebhookSettings(Schema):
    """URL, signing secret, and additional headers."""

    url = fields.String(
        required=True,
        validate=validate_http_url,
        metadata={"label": N_("Address"), "help": N_("Receives POST requests with JSON"), "encrypted": True},
    )
    secret = fields.String(
        load_default="",
        allow_none=True,
        metadata={"label": N_("Signing secret"), "help": N_("Used to sign each request (HMAC)"), "secret": True},
    )
    headers = fields.String(
        load_default="",
        allow_none=True,
        validate=read_headers,
        metadata={
            "label": N_("Additional headers"),
            "help": N_("One per line: Authorization: Bearer …"),
            "secret": True,
            "multiline": True,
        },
    )
    verifies_certificate = fields.Boolean(load_default=True, metadata={"label": N_("Verify certificate")})


class WebhookChannel(HttpChannel):
    """One signed POST per message.

    Its format is described in the README beside this file.
    """

    name, label = "webhook", N_("Webhook")
    description = N_("POST each event as JSON to your URL, optionally signed.")
    Settings = WebhookSettings

    def send(self, message: Message) -> None:
        """Post the event. Attempts share the idempotency key.

        Timestamp and signature differ.
        """
        body = json.dumps(_describe(message)).encode()
        headers = {"Content-Type": "application/json", **read_headers(self.settings.get("headers") or "")}
        if message.idempotency_key:
            headers["Idempotency-Key"] = message.idempotency_key
        if secret := self.settings.get("secret"):
            timestamp = str(int(time.time()))
            headers |= {"X-Duplistatus-Timestamp": timestamp, "X-Duplistatus-Signature": sign(secret, timestamp, body)}
        url = (message.target or str(self.settings["url"])).strip()
        self.post(url, data=body, headers=headers, verify=self.settings.get("verifies_certificate", True))

    def audit_details(self, target: str | None = None) -> Mapping[str, Any]:
        """Return the server only: the rest of the URL may be secret."""
        return {"server": urlsplit(target or self.settings["url"]).hostname}


def _describe(message: Message) -> dict[str, Any]:
    """Return the event as sent. Incompatible changes increase `VERSION`."""
    return {
        "version": VERSION,
        "event": message.event,
        "title": message.title,
        "body": message.body,
        "severity": message.severity.value,
        "server": message.values.get("server_name"),
        "job": message.values.get("backup_name"),
        "status": message.values.get("status"),
        "values": dict(message.values),
        "link": message.link,
        "sent_at": _instant(message.sent_at or datetime.now(UTC)),
        "idempotency_key": message.idempotency_key,
    }


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
