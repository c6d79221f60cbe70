"""The page for everybody who has its link: how the backups are, and nothing to press."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext

from app import runtime
from app.plugin.errors import NotFound
from app.reports.outcomes import SUCCESS, WARNING, is_failure
from app.sharing import status_page
from app.sharing.status_page import ShownServer
from app.web.guards import limit_rate
from app.web.request import client_address

bp = Blueprint("status_page", __name__)

# For a minute, by browser or proxy; the language of the page is the reader's.
CACHING = {"Cache-Control": "max-age=60", "Vary": "Accept-Language, Cookie, Accept-Encoding"}
# Nobody is to find the page but by its link, and no page that it leads to is to learn of it.
PRIVACY = {"X-Robots-Tag": "noindex, nofollow, noarchive", "Referrer-Policy": "no-referrer"}


@dataclass(frozen=True, slots=True)
class PublicVerdict:
    """How everything on the page is: a word for the picture, and a sentence."""

    level: str
    sentence: str


@bp.get("/status/<slug>")
def show(slug: str) -> ResponseReturnValue:
    """How the backups are that are to be shown. 404 for a wrong link, and while the page is switched off."""
    now = runtime.now()
    limit_rate("read", client_address(), now)
    page = status_page.find(slug)
    if page is None:
        raise NotFound("Not found")
    servers = status_page.shown_servers(page, now)
    values = {"page": page, "servers": servers, "verdict": judge(servers), "now": now}
    answer = Response(render_template("sharing/status/page.html", **values), headers=CACHING)
    answer.add_etag()
    return answer.make_conditional(request)


def judge(servers: Sequence[ShownServer]) -> PublicVerdict:
    """Say in one sentence how the shown backups are; whether messages about them are held back is not told."""
    jobs = [job.status for server in servers for job in server.jobs]
    failed = sum(is_failure(job.last_status) for job in jobs)
    overdue = sum(job.is_overdue and not is_failure(job.last_status) for job in jobs)
    fine = sum(job.last_status == SUCCESS and not job.is_overdue for job in jobs)
    if not jobs:
        return PublicVerdict("empty", _("Nothing to show yet"))
    if fine == len(jobs):
        return PublicVerdict("fine", ngettext("The only job is OK", "All %(num)s jobs OK", fine))
    if failed or overdue:
        told = [_("%(count)s failed", count=failed)] if failed else []
        told += [_("%(count)s overdue", count=overdue)] if overdue else []
        return PublicVerdict("trouble", ", ".join(told))
    warned = sum(job.last_status == WARNING for job in jobs)
    if warned:
        return PublicVerdict("attention", _("%(count)s with warnings", count=warned))
    return PublicVerdict("attention", _("%(count)s with unknown status", count=len(jobs) - fine))
