"""Settings for uploads, and the public URL of this installation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError, fields

from app.audit.log import Actor, record_setting
from app.core.db.orm import writing
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.core.settings.declarations import Setting, declare
from app.plugin.marking import N_
from app.reports.ingest import keeps_other_operations, max_upload_bytes

LEAST_MIB, MOST_MIB = 1, 1024


LONGEST_URL = 500


def check_public_url(url: str) -> None:
    """Reject an invalid URL and one with credentials; blank is valid.

    Raise ValidationError.
    """
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError as error:
        raise ValidationError("expected a URL that starts with http:// or https://") from error
    if url and (parts.scheme not in ("http", "https") or not has_host or parts.query or parts.fragment):
        raise ValidationError("expected a URL that starts with http:// or https://, without ? and #")
    if parts.username or parts.password or len(url) > LONGEST_URL:
        raise ValidationError(f"expected a URL without a username, at most {LONGEST_URL} characters")


OTHER_OPERATIONS = declare(
    Setting(
        "keeps_other_operations",
        bool,
        default=False,
        wire="keepsOtherOperations",
        label=N_("Accept other operations"),
        help=N_("Store restores, tests and compactions as separate jobs. Otherwise they are not stored."),
    )
)


PUBLIC_URL = declare(
    Setting(
        "public_url",
        str,
        default="",
        shape=fields.String(validate=check_public_url),
        wire="publicUrl",
        label=N_("Public URL"),
        help=N_("Used in notifications and setup instructions."),
    )
)


# None: as the environment says.
UPLOAD_MAX_MIB = declare(
    Setting(
        "upload_max_mib",
        int,
        default=None,
        minimum=LEAST_MIB,
        maximum=MOST_MIB,
        wire="maxUploadMib",
        attribute="max_upload_mib",
        label=N_("Maximum report size, in MiB"),
    )
)


@dataclass(frozen=True, slots=True)
class UploadSettings:
    """Settings for uploads, and the public URL of this installation."""

    keeps_other_operations: bool
    max_upload_bytes: int
    max_upload_mib: int | None
    public_url: str


def describe_settings() -> UploadSettings:
    """Return the current settings.

    `max_upload_mib` is None if the environment decides.
    """
    return UploadSettings(
        keeps_other_operations=keeps_other_operations(),
        max_upload_bytes=max_upload_bytes(),
        max_upload_mib=settings_store.get("upload_max_mib"),
        public_url=settings_store.get("public_url"),
    )


def change_settings(wanted: Mapping[str, Any], *, actor: Actor, now: datetime) -> None:
    """Change the given fields of `UploadSettings`, all or none. Raise Refused."""
    before = describe_settings()
    setters: dict[str, Callable[..., None]] = {
        "keeps_other_operations": _set_other_operations,
        "max_upload_mib": _set_upload_limit,
        "public_url": _set_public_url,
    }
    with writing():
        for name, set_value in setters.items():
            if name in wanted and wanted[name] != getattr(before, name):
                set_value(wanted[name], actor=actor, now=now)


def _set_other_operations(is_kept: bool, *, actor: Actor, now: datetime) -> None:
    """Set whether reports of operations other than backups are stored."""
    with writing():
        settings_store.save("keeps_other_operations", is_kept, now=now)
        record_setting("other_operations_updated", "keeps_other_operations", {"kept": is_kept}, actor=actor, now=now)


def _set_upload_limit(most_mib: int | None, *, actor: Actor, now: datetime) -> None:
    """Set the maximum upload size; None restores the environment's. Raise Refused."""
    if most_mib is not None and not LEAST_MIB <= most_mib <= MOST_MIB:
        raise Refused("upload_limit_range", "max_upload_mib", least=LEAST_MIB, most=MOST_MIB)
    with writing():
        settings_store.save("upload_max_mib", most_mib, now=now)
        record_setting("upload_limit_updated", "upload_max_mib", {"mib": most_mib}, actor=actor, now=now)


def _set_public_url(url: str, *, actor: Actor, now: datetime) -> None:
    """Set the public URL of this installation; "" removes it. Raise Refused."""
    url = url.strip().rstrip("/")
    try:
        check_public_url(url)
    except ValidationError as error:
        raise Refused("public_url_invalid", "public_url", reason=error.messages[0]) from error
    with writing():
        settings_store.save("public_url", url, now=now)
        record_setting("public_url_updated", "public_url", {"url": url}, actor=actor, now=now)
