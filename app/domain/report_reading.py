"""Reads what was posted: from a body that is unpacked to a report, or to the reason why it is none."""

import re
import zlib
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from app.contracts.errors import AppError
from app.domain.envelopes import open_envelope
from app.domain.logs import bound_texts
from app.domain.reports import NotStored, Report, parse_report

# The address of a destination may hold a password: it is never stored.
_REMOTE_URLS = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE | re.DOTALL)
    for pattern in (
        rb'("RemoteUrl"\s*:\s*")(?:[^"\\]+|\\.)*+',
        rb"^([ \t]*RemoteUrl:)[^\r\n]*",
        # The same two in a form that could not be opened.
        rb"(%22RemoteUrl%22(?:%20|\+)*(?:%3A|:)(?:%20|\+)*%22)(?:[^%]+|%5C%22|%(?!22))*+",
        rb"(RemoteUrl%3A)(?:[^%&]+|%(?!0D|0A|22))*+",
    )
)


@dataclass(frozen=True, slots=True)
class Posted:
    """A body that was posted, unpacked, and by what it is read."""

    content: bytes
    content_type: str
    received_at: datetime
    zone: ZoneInfo
    keeps_other_operations: bool


@dataclass(frozen=True, slots=True)
class KeptBody:
    """A body that cannot be used, as it is kept: packed, and without the addresses of destinations."""

    packed: bytes
    size_bytes: int
    content_type: str


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a body cannot be used, and what to keep of it."""

    error: AppError
    kept: KeptBody


def read_posted(posted: Posted) -> Report | NotStored | Unusable:
    """Read a body; the texts of a report are bounded as they are stored."""
    kept, kept_type = posted.content, posted.content_type
    try:
        text = open_envelope(posted.content, posted.content_type)
        opened = text.encode("utf-8", "replace") if isinstance(text, str) else text
        if opened != posted.content:
            kept, kept_type = opened, "text/plain"
        report = parse_report(
            text,
            received_at=posted.received_at,
            zone=posted.zone,
            keeps_other_operations=posted.keeps_other_operations,
        )
    except AppError as error:
        return Unusable(error, keep_body(kept, kept_type))
    return report if isinstance(report, NotStored) else _bounded(report.filed())


def keep_body(body: bytes, content_type: str) -> KeptBody:
    """Pack a body that cannot be used."""
    masked = body
    if b"remoteurl" in body.lower():
        for address in _REMOTE_URLS:
            masked = address.sub(rb"\1(removed)", masked)
    return KeptBody(zlib.compress(masked), len(body), content_type)


def _bounded(report: Report) -> Report:
    messages, warnings, errors = map(tuple, bound_texts(report.messages, report.warnings, report.errors))
    return replace(report, messages=messages, warnings=warnings, errors=errors)
