"""Notification channels: a schema of settings, and a method that sends a message."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from http.client import responses
from typing import Any, ClassVar

import requests
from marshmallow import Schema

from app.plugin.http import ForbiddenAddress, answers_within, guarded_session
from app.plugin.marking import NC_

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 15.0
# Statuses with which a server may send Retry-After (RFC 9110, 10.2.3).
WAITING_STATUSES = (429, 503)


class Severity(Enum):
    """Urgency of a message."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file attached to a message.

    `description` is the alternative text of a picture.
    """

    name: str
    mime_type: str
    content: bytes
    description: str = ""

    @property
    def content_id(self) -> str:
        """The Content-ID by which the message's HTML refers to it (`cid:`)."""
        return f"{self.name}@duplistatus"


@dataclass(frozen=True, slots=True)
class Message:
    """One rendered message for one destination.

    `title` and `body` are plain text, already shortened to the channel's limits; `html` is the same body as safe
    HTML, and `markdown` the same as Markdown if its author used any. `target` replaces the channel's own destination
    (an address, a topic) if set. `idempotency_key` is the same at every attempt of one delivery: send it along if the
    service supports it. `attachments` are pictures with the same content as the text: a channel that does not support
    them leaves them out. `html` refers to them by their `content_id`. `sent_at` is when the message was queued.
    `event_at` is when the event happened: a run began, a check found a job overdue. Messages about different jobs may
    arrive out of order, so a channel that keeps a state compares this instant.
    """

    title: str
    body: str
    severity: Severity = Severity.INFO
    event: str = "test"
    html: str = ""
    markdown: str | None = None
    priority: str = "default"
    tags: tuple[str, ...] = ()
    link: str | None = None
    target: str | None = None
    idempotency_key: str = ""
    sent_at: datetime | None = None
    event_at: datetime | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()


class DeliveryError(Exception):
    """A message was not delivered. `permanent` means that a retry would not help.

    `retry_after_s` is how long the server asks to wait before a retry. The text is shown to users: no secret, no URL
    with a token. It is English and begins with the channel's label and a colon; the rest is translated on pages if
    the plugin's catalogue contains it.
    """

    def __init__(self, message: str, *, permanent: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after_s = retry_after_s


class NotificationChannel(ABC):
    """A kind of channel.

    The name of the entry point, `name` and the stored kind are the same word. The entry point names the class.
    `label` and `description` (one sentence) describe it. They, and the texts of settings, validators and
    DeliveryError, are English and marked with `N_`: pages translate them by the plugin's catalogues, which are
    `translations/<locale>/LC_MESSAGES/<package>.mo` in the package of the class.

    `Settings` is a marshmallow schema from which the application makes the form, the validation and the storage.
    Fields take `metadata={"label": …, "help": …}`; secrets `metadata={"secret": True}` are stored encrypted and never
    shown, `metadata={"encrypted": True}` marks what is stored encrypted and may be shown, `metadata={"multiline":
    True}` a text of several lines, and `metadata={"address": True}` the server that receives the secrets (not needed
    for a `fields.Url`, or a text checked by `validate_http_url`): if it changes, they must be entered again. The
    application renders, shortens to `title_limit` and `body_limit` (characters, or UTF-8 bytes with
    `limits_in_bytes`), retries, masks and records.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    description: ClassVar[str] = ""
    Settings: ClassVar[type[Schema]]
    title_limit: ClassVar[int | None] = None
    body_limit: ClassVar[int | None] = None
    limits_in_bytes: ClassVar[bool] = False

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Store settings as loaded by `Settings`, with decrypted secrets.

        Must not open a connection.
        """
        self.settings = settings

    @abstractmethod
    def send(self, message: Message) -> None:
        """Send now, in a worker thread, within about 20 s.

        Raise DeliveryError if it fails.
        """

    def failure(self, text: str, *, permanent: bool = False, retry_after_s: float | None = None) -> DeliveryError:
        """Return the error to raise from `send`: the label of the channel and the reason."""
        return DeliveryError(f"{self.label}: {text}", permanent=permanent, retry_after_s=retry_after_s)

    def audit_details(self, target: str | None = None) -> Mapping[str, Any]:
        """Return what the audit log may record about the destination: no secrets.

        `target` as in a message.
        """
        return self.facts(target)

    @classmethod
    def missing_settings(cls, settings: Mapping[str, Any]) -> Sequence[str]:
        """Return the names of missing settings, such as a password to log in with.

        The channel's page shows them and marks the channel as incomplete. Secrets are passed as stored: encrypted, or
        empty.
        """
        return cls.lacks(settings)

    def subscribe_url(self, target: str | None = None) -> str | None:
        """Return the URL with which a phone subscribes to this channel.

        It is shown as a QR code. None if there is none. It must not contain a secret: everyone who sees the screen
        could copy it. `target` as in a message.
        """
        return self.subscription(target)

    # Deprecated names, which plugins written for earlier versions override.

    def facts(self, target: str | None = None) -> Mapping[str, Any]:
        """Deprecated name of `audit_details`."""
        return {"target": target} if target else {}

    @classmethod
    def lacks(cls, settings: Mapping[str, Any]) -> Sequence[str]:
        """Deprecated name of `missing_settings`."""
        return ()

    def subscription(self, target: str | None = None) -> str | None:
        """Deprecated name of `subscribe_url`."""
        return None


class HttpChannel(NotificationChannel):
    """A channel that uses HTTP.

    `post` sends one request with time limits and classifies failures.
    """

    def post(self, url: str, **options: Any) -> requests.Response:
        """Send one POST request and return a 2xx response.

        Options are those of `requests.post`. Raise DeliveryError: permanent for 3xx and 4xx except 408, 425 and 429,
        and for forbidden addresses; to be retried for other statuses and network errors. Redirects are not followed,
        since a secret would be sent along. A `Retry-After` of the server is passed on.
        """
        options.setdefault("timeout", (CONNECT_TIMEOUT_S, READ_TIMEOUT_S))
        try:
            with answers_within(READ_TIMEOUT_S), guarded_session() as session:
                answer = session.post(url, allow_redirects=False, **options)
        except ForbiddenAddress as error:
            raise self.failure(str(error), permanent=True) from error
        except requests.Timeout as error:
            raise self.failure(NC_("failure", "the server did not answer in time")) from error
        except (requests.exceptions.InvalidHeader, UnicodeError) as error:
            text = NC_("failure", "the URL or a header contains characters that cannot be sent")
            raise self.failure(text, permanent=True) from error
        except ValueError as error:  # raised by requests for an invalid URL
            raise self.failure(NC_("failure", "the URL is not valid"), permanent=True) from error
        except requests.RequestException as error:
            text = NC_("failure", "no connection to the server ({error})").format(error=type(error).__name__)
            raise self.failure(text) from error
        if 200 <= answer.status_code < 300:
            return answer
        permanent = 300 <= answer.status_code < 500 and answer.status_code not in (408, 425, 429)
        text = NC_("failure", "the server answered {reason}").format(reason=self.reason(answer))
        raise self.failure(text, permanent=permanent, retry_after_s=retry_after(answer))

    def reason(self, answer: requests.Response) -> str:
        """Return a short reason why the server refused.

        Override if the service sends more detail. The words are those of the HTTP standard: the server's own might
        repeat a secret that it received.
        """
        return f"{answer.status_code} {responses.get(answer.status_code, '')}".strip()


def retry_after(answer: requests.Response) -> float | None:
    """Return after how many seconds a server asks for a retry; None if it does not."""
    text = answer.headers.get("Retry-After", "").strip()
    if answer.status_code not in WAITING_STATUSES or not text:
        return None
    if text.isascii() and text.isdecimal():
        return float(text[:10])
    try:
        until_at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (until_at.replace(tzinfo=until_at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
