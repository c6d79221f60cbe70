"""Badges: each shows all servers, one server or one job as an SVG image at a URL of its own."""

import re
import secrets
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from html import escape
from math import ceil

from marshmallow import fields, validate

from app.accounts.models import ALL_SERVERS
from app.audit.log import Actor, record_entry
from app.backups import overview
from app.backups.overview import JobStatus
from app.core.db.orm import writing
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.core.settings.declarations import Exact, Setting, declare
from app.reports.outcomes import NONE, SUCCESS, WARNING, is_failure

PICTURE = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" viewBox="0 0 {width} 20" \
role="img" aria-label="{label}: {word}">
<title>{label}: {word}</title>
<clipPath id="r"><rect width="{width}" height="20" rx="4"/></clipPath>
<g clip-path="url(#r)">
<rect width="{left}" height="20" fill="#24292f"/>
<rect x="{left}" width="{right}" height="20" fill="{colour}"/>
</g>
<g fill="#ffffff" font-family="Verdana, DejaVu Sans, Geneva, sans-serif" font-size="11" text-anchor="middle" \
aria-hidden="true">
<text x="{label_at}" y="14">{label}</text>
<text x="{word_at}" y="14">{word}</text>
</g>
</svg>
"""


# The drawing of a badge

# White text has a contrast of at least 4.5 to 1 on each of them.
GREEN, AMBER, RED, GREY = "#1a7f37", "#8a5d00", "#b3261e", "#57606a"
COLOURS = {"ok": GREEN, "warning": AMBER, "overdue": AMBER, "failed": RED, "unknown": GREY}
NARROW, WIDE = "ijlt.,:;|!'()[] fIr1/", "mwMW@%"
LONGEST_LABEL = 60
PADDING = 7


def badge_status(statuses: Collection[str], *, any_overdue: bool) -> str:
    """Return the status of the newest runs in one word.

    The worst counts; `unknown` if there are none.
    """
    known = set(statuses) - {NONE}
    if any(is_failure(status) for status in known):
        return "failed"
    if any_overdue:
        return "overdue"
    if WARNING in known:
        return "warning"
    return "ok" if known == {SUCCESS} else "unknown"


def draw(label: str, word: str) -> str:
    """Return the SVG picture, with an alternative text."""
    label = label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…"
    label = "".join(char for char in label if char.isprintable())
    left, right = _width(label), _width(word)
    return PICTURE.format(
        label=escape(label),
        word=escape(word),
        colour=COLOURS[word],
        left=left,
        right=right,
        width=left + right,
        label_at=left / 2,
        word_at=left + right / 2,
    )


def _width(text: str) -> int:
    """Return the width of a text of 11 pixels height in pixels, with padding.

    Slightly too large.
    """
    width = sum(4 if char in NARROW else 11 if char in WIDE or ord(char) > 0x2E80 else 7.2 for char in text)
    return ceil(width) + 2 * PADDING


MOST_BADGES = 200
SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{1,63}")


class BadgeValue(Exact):
    """A badge."""

    slug = fields.String(required=True, validate=validate.Regexp(rf"{SLUG.pattern}\Z"))
    label = fields.String(required=True, validate=validate.Length(max=LONGEST_LABEL))
    server_id = fields.String(allow_none=True)
    job_name = fields.String(allow_none=True)


BADGES = declare(
    Setting(
        "badges",
        list,
        default=[],
        shape=fields.List(fields.Nested(BadgeValue), validate=validate.Length(max=MOST_BADGES)),
    )
)


@dataclass(frozen=True, slots=True)
class Badge:
    """A badge.

    Without `server_id` it shows all servers, without `job_name` all jobs of the server.
    """

    slug: str
    label: str
    server_id: str | None = None
    job_name: str | None = None


def list_badges() -> list[Badge]:
    """Return all badges, oldest first."""
    return [Badge(**stored) for stored in settings_store.get("badges")]


def create_badge(
    *,
    slug: str | None,
    label: str | None,
    server_id: str | None,
    job_name: str | None,
    actor: Actor,
    now: datetime,
) -> Badge:
    """Create a badge; without `slug` at a URL that cannot be guessed.

    Raise AppError for a slug that cannot be part of a URL, NotFound for an unknown server or job, and Conflict for a
    slug in use.
    """
    if slug is not None and not SLUG.fullmatch(slug):
        raise Refused("badge_slug_invalid", "slug")
    if job_name is not None and server_id is None:
        raise Refused("badge_server_missing", "server_id")
    usual_label = "backups"
    if server_id is not None:
        jobs = _jobs_of(server_id, job_name, now)
        if not jobs:
            raise Refused("badge_subject_not_found", "shows")
        usual_label = jobs[0].server_display_name if job_name is None else job_name
    badge = Badge(slug or secrets.token_urlsafe(16), (label or usual_label)[:LONGEST_LABEL], server_id, job_name)
    with writing():
        badges = list_badges()
        if badge.slug in {other.slug for other in badges}:
            raise Refused("badge_slug_taken", "slug")
        if len(badges) >= MOST_BADGES:
            raise Refused("too_many_badges", most=MOST_BADGES)
        _store([*badges, badge], now)
        _audit("badge_created", badge, actor=actor, now=now)
    return badge


def delete_badge(slug: str, *, actor: Actor, now: datetime) -> None:
    """Delete a badge. Raise Refused (404)."""
    with writing():
        badges = list_badges()
        found = next((badge for badge in badges if badge.slug == slug), None)
        if found is None:
            raise Refused("badge_not_found")
        _store([badge for badge in badges if badge is not found], now)
        _audit("badge_deleted", found, actor=actor, now=now)


def drop_unused(now: datetime) -> int:
    """Delete badges of deleted servers and jobs; return their number."""
    badges = list_badges()
    used = [badge for badge in badges if badge.server_id is None or _jobs_of(badge.server_id, badge.job_name, now)]
    if len(used) < len(badges):
        _store(used, now)
    return len(badges) - len(used)


def picture(slug: str, now: datetime) -> str | None:
    """Return the current SVG of a badge; None if it does not exist."""
    badge = next((badge for badge in list_badges() if badge.slug == slug), None)
    if badge is None:
        return None
    jobs = _jobs_of(badge.server_id, badge.job_name, now)
    word = badge_status({job.last_status for job in jobs}, any_overdue=any(job.is_overdue for job in jobs))
    return draw(badge.label, word)


def _jobs_of(server_id: str | None, job_name: str | None, now: datetime) -> list[JobStatus]:
    return [
        job
        for job in overview.overview(now, ALL_SERVERS).jobs
        if (job.is_backup if job_name is None else job.name == job_name) and server_id in (None, job.server_id)
    ]


def _store(badges: Collection[Badge], now: datetime) -> None:
    settings_store.save("badges", [asdict(badge) for badge in badges], now=now)


def _audit(action: str, badge: Badge, *, actor: Actor, now: datetime) -> None:
    # The slug may be secret, so the log contains only its beginning.
    details = {"label": badge.label, "serverId": badge.server_id, "backupName": badge.job_name}
    target = {"target_type": "badge", "target_id": f"{badge.slug[:4]}…"}
    record_entry(action, "config", now=now, actor=actor, details=details, **target)
