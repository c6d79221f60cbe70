"""A way to reach people: settings described by a schema, and one method that sends one message once."""

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
# Statuses with which a server may say when to come back (RFC 9110, 10.2.3).
WAITING_STATUSES = (429, 503)


class Severity(Enum):
    """How loud a message is, from a good night's sleep to getting up."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a message; `description` says in words what a picture shows."""

    name: str
    mime_type: str
    content: bytes
    description: str = ""

    @property
    def content_id(self) -> str:
        """What `cid:` addresses within the message's HTML call it."""
        return f"{self.name}@duplistatus"


@dataclass(frozen=True, slots=True)
class Message:
    """One rendered message for one destination.

    `title` and `body` are plain text already shortened to the channel's limits; `html` is the same body as safe
    HTML, and `markdown` the same as Markdown when its writer used any. `target` replaces the channel's own
    destination (an address, a topic) when set. `idempotency_key` is the same at every try of one delivery: send it
    along where the service knows such a thing. `attachments` are pictures that say the same as the text does: a channel
    that cannot carry them leaves them out. `html` shows them by their `content_id`. `sent_at` is when the message was
    queued. `event_at` is when that happened which it tells of: a run began, a check found a job overdue. Messages about
    different jobs may overtake each other, so a channel that keeps a state compares this instant.
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
    """A message did not get through. `permanent` means that trying again will not help.

    `retry_after_s` is for how long the other side asks not to be called again. The text is shown to people: no secret,
    no URL with a token. It is English and begins with the channel's label and a colon; what follows is translated on
    pages where the plugin's catalogue has it.
    """

    def __init__(self, message: str, *, permanent: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after_s = retry_after_s


class NotificationChannel(ABC):
    """One kind of channel. The entry point names the class; its name, `name` and the stored kind are one word.

    `label` and `description` (one sentence) say what it is. They, and the texts of settings, validators and
    DeliveryError, are English and marked with `N_`: pages translate them by the plugin's catalogues, which are
    `translations/<locale>/LC_MESSAGES/<package>.mo` in the package of the class.

    `Settings` is a marshmallow schema: the host makes the form, the validation and the storage from it. Fields take
    `metadata={"label": …, "help": …}`; secrets `metadata={"secret": True}` are stored encrypted and never shown,
    `metadata={"encrypted": True}` marks what is stored encrypted and may be shown, `metadata={"multiline": True}` a
    text of several lines, and `metadata={"address": True}` the server that secrets go to (a `fields.Url`, or a text
    checked by `validate_http_url`, is one anyway): where it changes, they have to be entered again. The host renders,
    shortens to `title_limit` and `body_limit` (characters, or UTF-8 bytes with `limits_in_bytes`), retries, masks and
    records.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    description: ClassVar[str] = ""
    Settings: ClassVar[type[Schema]]
    title_limit: ClassVar[int | None] = None
    body_limit: ClassVar[int | None] = None
    limits_in_bytes: ClassVar[bool] = False

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Take settings as loaded by `Settings`, secrets in clear. Must not open a connection."""
        self.settings = settings

    @abstractmethod
    def send(self, message: Message) -> None:
        """Deliver now, in a worker's thread, within about 20 s. Raises DeliveryError when it did not get through."""

    def failure(self, text: str, *, permanent: bool = False, retry_after_s: float | None = None) -> DeliveryError:
        """Return the error to raise from `send`: the label of the channel and why the message did not get through."""
        return DeliveryError(f"{self.label}: {text}", permanent=permanent, retry_after_s=retry_after_s)

    def facts(self, target: str | None = None) -> Mapping[str, Any]:
        """What the audit log may say of the destination: no secret. `target` as in a message."""
        return {"target": target} if target else {}

    @classmethod
    def lacks(cls, settings: Mapping[str, Any]) -> Sequence[str]:
        """The names of settings that these ones call for besides the required ones, such as a password to log in with.

        The channel's page says so, and calls it incomplete. Secrets come as they are stored: there, or empty.
        """
        return ()

    def subscription(self, target: str | None = None) -> str | None:
        """What a phone opens to receive messages by this channel, shown as a QR code; None where there is no such.

        It holds no secret: whoever sees the screen could keep it. `target` as in a message.
        """
        return None


class HttpChannel(NotificationChannel):
    """A channel that speaks HTTP: `post` does one request with time limits and sorts the failures."""

    def post(self, url: str, **options: Any) -> requests.Response:
        """Send one POST and return a 2xx answer. Options are those of `requests.post`.

        Raises DeliveryError: permanent for 3xx and 4xx except 408, 425 and 429, and for addresses that nobody may
        ask a server to call; worth another try for the rest and for network trouble. Redirects are not followed,
        since a secret would travel with them. A `Retry-After` of a server goes along.
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
        except ValueError as error:  # what requests says of an address that it cannot read
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
        """Say in a few words why the server refused. Override where the service tells more.

        The words are the standard's: those of the server might repeat a secret that it was sent.
        """
        return f"{answer.status_code} {responses.get(answer.status_code, '')}".strip()


def retry_after(answer: requests.Response) -> float | None:
    """Return for how many seconds a server asks not to be called again; None where it does not."""
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
