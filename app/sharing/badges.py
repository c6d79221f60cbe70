"""Badges: each shows all servers, one server or one job at a URL of its own."""

import re
import secrets
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime

from marshmallow import fields, validate

from app.accounts.models import ALL_SERVERS
from app.audit.log import Actor, record_entry
from app.backups import overview
from app.backups.overview import JobStatus
from app.core.db.transaction import writing
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.core.settings.declarations import Exact, Setting, declare
from app.sharing.badge import LONGEST_LABEL, badge_status, draw

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
