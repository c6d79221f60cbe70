"""Settings and content of the public status page.

It is disabled by default, read-only, and at a link that cannot be guessed.
"""

import secrets
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from marshmallow import fields
from marshmallow.validate import Regexp

from app.accounts.models import ALL_SERVERS
from app.audit.log import Actor, record_entry
from app.backups import overview
from app.backups.overview import JobStatus
from app.core.db.orm import writing
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.core.settings.declarations import Setting, declare
from app.plugin.marking import N_

SLUG = Setting("slug", str, default="", check=Regexp(r"[A-Za-z0-9_-]{0,128}\Z"), is_secret=True)
IS_ENABLED = Setting("is_enabled", bool, default=False, label=N_("Enabled"))
TITLE = Setting("title", str, default="", longest=80, label=N_("Title"))
SHOWS_NAMES = Setting(
    "shows_names",
    bool,
    default=True,
    label=N_("Show names of servers and jobs"),
    help=N_("Otherwise servers and jobs are numbered."),
)
SHOWS_ALL = Setting("shows_all", bool, default=True)
SERVER_IDS = Setting("server_ids", list, default=(), shape=fields.List(fields.String()))
JOBS = Setting("jobs", list, default=(), shape=fields.List(fields.Tuple((fields.String(), fields.String()))))
STATUS_PAGE = declare(
    Setting(
        "status_page",
        dict,
        default={},
        parts=(SLUG, IS_ENABLED, TITLE, SHOWS_NAMES, SHOWS_ALL, SERVER_IDS, JOBS),
    )
)


SLUG_BYTES = 24


@dataclass(frozen=True, slots=True)
class StatusPage:
    """What the page shows and where. Without a slug, the page was never enabled.

    With `shows_all` it shows all servers, also future ones; else those of `server_ids` with all their jobs, and the
    `jobs`, each given as id of the server and name of the job.
    """

    slug: str = SLUG.default
    is_enabled: bool = IS_ENABLED.default
    title: str = TITLE.default
    shows_names: bool = SHOWS_NAMES.default
    shows_all: bool = SHOWS_ALL.default
    server_ids: tuple[str, ...] = SERVER_IDS.default
    jobs: tuple[tuple[str, str], ...] = JOBS.default

    def shows(self, job: JobStatus) -> bool:
        """Whether a job is on the page."""
        if not job.is_backup:
            return False
        return self.shows_all or job.server_id in self.server_ids or (job.server_id, job.name) in self.jobs


@dataclass(frozen=True, slots=True)
class ShownJob:
    """A job with its public name."""

    name: str
    status: JobStatus


@dataclass(frozen=True, slots=True)
class ShownServer:
    """A server with its public name, and those of its jobs that are on the page."""

    name: str
    jobs: tuple[ShownJob, ...]


def current() -> StatusPage:
    """Return the stored page."""
    stored = STATUS_PAGE.read_parts(settings_store.read(STATUS_PAGE))
    stored["server_ids"] = tuple(stored["server_ids"])
    stored["jobs"] = tuple((server_id, name) for server_id, name in stored["jobs"])
    return StatusPage(**stored)


def find(slug: str) -> StatusPage | None:
    """Return the page of a link.

    None for any other link, and while the page is disabled.
    """
    page = current()
    is_right = secrets.compare_digest(slug.encode(), page.slug.encode())
    return page if is_right and page.slug and page.is_enabled else None


def save(
    *,
    is_enabled: bool,
    title: str,
    shows_names: bool,
    shows_all: bool,
    server_ids: Collection[str],
    job_ids: Collection[int],
    actor: Actor,
    now: datetime,
) -> StatusPage:
    """Store the page; it gets its link when it is first enabled.

    Raise Refused for unknown servers or jobs.
    """
    title = title.strip()
    if not TITLE.accepts(title):
        raise Refused("status_title_too_long", "title", count=TITLE.longest)
    known = overview.overview(now, ALL_SERVERS)
    chosen_servers = {server.id for server in known.servers} & set(server_ids)
    chosen_jobs = {(job.server_id, job.name) for job in known.jobs if job.job_id in set(job_ids)}
    chosen_jobs = {job for job in chosen_jobs if job[0] not in chosen_servers}
    if is_enabled and not shows_all and not chosen_servers and not chosen_jobs:
        raise Refused("status_servers_missing", "servers")
    with writing():
        page = replace(
            current(),
            is_enabled=is_enabled,
            title=title,
            shows_names=shows_names,
            shows_all=shows_all,
            server_ids=tuple(sorted(chosen_servers)),
            jobs=tuple(sorted(chosen_jobs)),
        )
        if is_enabled and not page.slug:
            page = replace(page, slug=secrets.token_urlsafe(SLUG_BYTES))
        _store(page, "status_page_updated", actor=actor, now=now)
    return page


def renew_link(*, actor: Actor, now: datetime) -> StatusPage:
    """Replace the link; the old one stops working."""
    with writing():
        page = replace(current(), slug=secrets.token_urlsafe(SLUG_BYTES))
        _store(page, "status_page_link_renewed", actor=actor, now=now)
    return page


def shown_servers(page: StatusPage, now: datetime) -> list[ShownServer]:
    """Return the content of the page, ordered by name.

    If names are hidden, they are numbers in that order.
    """
    found: list[ShownServer] = []
    for server in sorted(
        overview.overview(now, ALL_SERVERS).servers, key=lambda server: server.display_name.casefold()
    ):
        jobs = [job for job in server.jobs if page.shows(job)]
        if not jobs:
            continue
        if page.shows_names:
            name, names = server.display_name, [job.name for job in jobs]
        else:
            name, names = str(len(found) + 1), [str(number) for number in range(1, len(jobs) + 1)]
        found.append(ShownServer(name, tuple(map(ShownJob, names, jobs))))
    return found


def _store(page: StatusPage, action: str, *, actor: Actor, now: datetime) -> None:
    values = asdict(page)
    settings_store.save(STATUS_PAGE.name, values, now=now)
    details = {part.name: values[part.name] for part in STATUS_PAGE.parts if not part.is_secret}
    record_entry(action, "config", now=now, actor=actor, target_type="status_page", details=details)
