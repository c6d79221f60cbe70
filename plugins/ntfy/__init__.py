"""Push notifications through ntfy.sh or your own ntfy server."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from marshmallow import Schema, fields, validate

from app.plugin import N_, HttpChannel, Message, validate_http_url, validate_one_line

PRIORITIES = {"min": 1, "low": 2, "default": 3, "high": 4, "max": 5, "urgent": 5}
RATE_LIMITED = 42901


class NtfySettings(Schema):
    """Server, topic, and a token if the topic is protected."""

    url = fields.String(
        required=True,
        validate=validate_http_url,
        metadata={"label": N_("Server"), "help": N_("https://ntfy.sh or the URL of your own ntfy server")},
    )
    topic = fields.String(
        required=True,
        validate=validate.Regexp(
            r"\A\s*[-_A-Za-z0-9]{1,64}\s*\Z", error=N_("Enter up to 64 letters, digits, - and _.")
        ),
        metadata={
            "label": N_("Topic"),
            "help": N_("Anyone who knows the topic can read your notifications. Choose one that is hard to guess."),
        },
    )
    token = fields.String(
        load_default="",
        allow_none=True,
        validate=lambda text: validate_one_line(text.strip()),
        metadata={"label": N_("Access token"), "help": N_("Only for protected topics"), "secret": True},
    )


class NtfyChannel(HttpChannel):
    """Publish as JSON, so that titles may hold any Unicode."""

    name, label = "ntfy", "ntfy"
    description = N_("Push notifications through ntfy.sh or your own ntfy server.")
    Settings = NtfySettings
    title_limit, body_limit, limits_in_bytes = 250, 4096, True

    def send(self, message: Message) -> None:
        """Publish one message.

        Ntfy 2.16 and later shows a repeated one once, by its sequence id.
        """
        publication: dict[str, Any] = {
            "topic": self._topic(message.target),
            "title": message.title,
            "message": message.markdown or message.body,
            "markdown": True if message.markdown else None,
            "priority": _priority(message.priority),
            "tags": list(message.tags),
            "click": message.link,
            "sequence_id": message.idempotency_key,
        }
        token = (self.settings.get("token") or "").strip()
        self.post(
            self.settings["url"].strip().rstrip("/") + "/",
            json={name: value for name, value in publication.items() if value},
            headers={"Authorization": f"Bearer {token}"} if token else {},
        )

    def audit_details(self, target: str | None = None) -> Mapping[str, Any]:
        """Return server and topic."""
        return {"url": self.settings["url"], "topic": self._topic(target)}

    def subscribe_url(self, target: str | None = None) -> str | None:
        """Return the URL with which the apps subscribe.

        They ask for a sign-in if a topic is protected.
        """
        server = urlsplit(self.settings["url"].strip())
        unencrypted = "?secure=false" if server.scheme == "http" else ""
        return f"ntfy://{server.netloc}/{quote(self._topic(target), safe='')}{unencrypted}"

    def reason(self, answer: requests.Response) -> str:
        """Return ntfy's own message, which is more precise than the status."""
        with suppress(ValueError, AttributeError):
            content = answer.json()
            if content.get("code") == RATE_LIMITED:
                return N_("that too many notifications were sent (rate limit)")
            if content.get("error"):
                return f"{answer.status_code} {str(content['error'])[:200]}"
        return super().reason(answer)

    def _topic(self, target: str | None) -> str:
        return (target or str(self.settings["topic"])).strip()


def _priority(name: str) -> int:
    """Return ntfy's number of a priority given by name or number.

    The default for an unknown one.
    """
    word = name.strip().lower()
    return int(word) if word in ("1", "2", "3", "4", "5") else PRIORITIES.get(word, PRIORITIES["default"])
