"""Telegram, Discord, Slack, Teams and more than 100 services through Apprise.

See https://appriseit.com. Apprise is imported when its first URL is parsed: it takes some 25 MB, which only its users
should pay for.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields

from app.plugin import N_, ForbiddenAddress, Message, NotificationChannel, Severity
from plugins.apprise.services import check_hosts, deliver, open_services

NOTIFY_TYPES = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.ERROR: "failure"}
GOOD_NEWS = frozenset({"success", "recovered", "silenceOver", "channelWorks"})
REMEMBERED = 1000
# Services that accepted a message which others did not, so that a retry reaches only the others. By idempotency key;
# lost at a restart, when a repetition is better than silence.
_taken: OrderedDict[str, set[str]] = OrderedDict()


def validate_services(text: str) -> None:
    """Validate the URLs in settings.

    Raise ValidationError with the line of a URL, not the URL.
    """
    if not open_services(text):
        raise ValidationError(N_("Enter at least one service URL."))


class AppriseSettings(Schema):
    """URLs of services; nearly all contain a token or a password."""

    urls = fields.String(
        required=True,
        validate=validate_services,
        metadata={
            "label": N_("Service URLs"),
            "help": N_("One per line, as described on appriseit.com: tgram://…, discord://…, mailtos://…"),
            "secret": True,
            "multiline": True,
        },
    )


class AppriseChannel(NotificationChannel):
    """One message to all services; a retry leaves out those that accepted it."""

    name, label = "apprise", "Apprise"
    description = N_("Reach people through the many services that Apprise knows, https://appriseit.com.")
    Settings = AppriseSettings

    def send(self, message: Message) -> None:
        """Send through all services at once. Permanent only if every failure is."""
        try:
            services = open_services(message.target or self.settings["urls"])
        except ValidationError as error:
            raise self.failure(" ".join(error.messages), permanent=True) from None
        taken = _taken.get(message.idempotency_key, set())
        waiting = {url: service for url, service in services.items() if url not in taken}
        try:
            check_hosts(waiting.values())
        except ForbiddenAddress as error:
            raise self.failure(str(error), permanent=True) from None
        is_success = message.severity is Severity.INFO and message.event in GOOD_NEWS
        outcomes = deliver(
            waiting,
            body=message.markdown or message.body,
            title=message.title,
            notify_type="success" if is_success else NOTIFY_TYPES[message.severity],
            body_format="markdown" if message.markdown else "text",
        )
        failures = [failure for failure in outcomes.values() if failure]
        if failures:
            _remember(message.idempotency_key, taken | {url for url, failure in outcomes.items() if not failure})
            text = "; ".join(dict.fromkeys(failure.text for failure in failures))
            raise self.failure(text, permanent=all(failure.is_permanent for failure in failures))
        _taken.pop(message.idempotency_key, None)

    def audit_details(self, target: str | None = None) -> Mapping[str, Any]:
        """Return the kinds of services; the rest of the URL is secret."""
        lines = (target or self.settings["urls"]).split()
        return {"services": [line.partition("://")[0] for line in lines if "://" in line]}


def _remember(key: str, urls: set[str]) -> None:
    if key and urls:
        _taken[key] = urls
        _taken.move_to_end(key)
        while len(_taken) > REMEMBERED:
            _taken.popitem(last=False)
