"""The public status page: the state of backups for everyone who has the link."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext

from app import runtime
from app.core.errors import Refused
from app.reports.outcomes import SUCCESS, WARNING, is_failure
from app.sharing import status_page
from app.sharing.status_page import ShownServer
from app.web.guards import limit_rate
from app.web.http import client_address

bp = Blueprint("status_page", __name__)

# For a minute, by browser or proxy; the language of the page is the reader's.
CACHING = {"Cache-Control": "max-age=60", "Vary": "Accept-Language, Cookie, Accept-Encoding"}
# Search engines must not list the page, and pages that it links to must not learn its URL.
PRIVACY = {"X-Robots-Tag": "noindex, nofollow, noarchive", "Referrer-Policy": "no-referrer"}


@dataclass(frozen=True, slots=True)
class PublicStatus:
    """Overall status of the page: a name of the icon, and a sentence."""

    level: str
    sentence: str


@bp.get("/status/<slug>")
def show(slug: str) -> ResponseReturnValue:
    """Show the selected servers. 404 for a wrong link, and while the page is disabled."""
    now = runtime.now()
    limit_rate("read", client_address(), now)
    page = status_page.find(slug)
    if page is None:
        raise Refused("not_found")
    servers = status_page.shown_servers(page, now)
    values = {"page": page, "servers": servers, "overall": summarize(servers), "now": now}
    answer = Response(render_template("sharing/status/page.html", **values), headers=CACHING)
    answer.add_etag()
    return answer.make_conditional(request)


def summarize(servers: Sequence[ShownServer]) -> PublicStatus:
    """Return the overall status of the shown servers; mutes are not mentioned."""
    jobs = [job.status for server in servers for job in server.jobs]
    failed = sum(is_failure(job.last_status) for job in jobs)
    overdue = sum(job.is_overdue and not is_failure(job.last_status) for job in jobs)
    fine = sum(job.last_status == SUCCESS and not job.is_overdue for job in jobs)
    if not jobs:
        return PublicStatus("empty", _("Nothing to show yet"))
    if fine == len(jobs):
        return PublicStatus("fine", ngettext("The only job is OK", "All %(num)s jobs OK", fine))
    if failed or overdue:
        parts = [_("%(count)s failed", count=failed)] if failed else []
        parts += [_("%(count)s overdue", count=overdue)] if overdue else []
        return PublicStatus("problem", ", ".join(parts))
    warned = sum(job.last_status == WARNING for job in jobs)
    if warned:
        return PublicStatus("attention", _("%(count)s with warnings", count=warned))
    return PublicStatus("attention", _("%(count)s with unknown status", count=len(jobs) - fine))
