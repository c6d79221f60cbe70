"""Dialogs for one job: mute, tags, size of the destination.

The dialog of its schedule is in `app.schedules.monitoring_pages`.

Each is also a page, for browsers without JavaScript.
"""

import math
from datetime import timedelta
from urllib.parse import urlsplit

from flask import flash, redirect, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext

from app import runtime
from app.backups import servers
from app.backups.server_pages import find_job
from app.core.errors import Refused
from app.insight import insight
from app.notifications import mutes
from app.plugin import Access, guarded
from app.web import http
from app.web.errors import refusal_text
from app.web.formats import exact_text
from app.web.http import actor, pages_bp, visible_server_ids

HOUR = timedelta(hours=1)
MUTE_LENGTHS = {
    "1h": (HOUR, lazy_gettext("1 hour")),
    "8h": (8 * HOUR, lazy_gettext("8 hours")),
    "1d": (24 * HOUR, lazy_gettext("1 day")),
    "3d": (72 * HOUR, lazy_gettext("3 days")),
    "1w": (168 * HOUR, lazy_gettext("1 week")),
    "30d": (720 * HOUR, lazy_gettext("30 days")),
}
SIZE_UNITS = {"GB": 1024**3, "TB": 1024**4}


@pages_bp.get("/detail/<server_id>/mute")
@guarded(Access.ADMIN)
def mute_form(server_id: str) -> ResponseReturnValue:
    """Ask how long to mute a job or its server."""
    return show_dialog("mute", server_id)


@pages_bp.post("/detail/<server_id>/mute")
@guarded(Access.ADMIN)
def save_mute(server_id: str) -> ResponseReturnValue:
    """Mute a job or its server, or end a mute, and return to the previous page."""
    form, now = request.form, runtime.now()
    whole = "whole_server" in form
    job_name = None if whole else form.get("backup", "")
    try:
        if form.get("do") == "end":
            mutes.unmute(server_id, job_name, actor=actor(), now=now)
            flash(_("Unmuted. Notifications are sent again."), "success")
        else:
            length, _label = MUTE_LENGTHS.get(form.get("length", ""), MUTE_LENGTHS["1d"])
            note = form.get("note", "")
            muted = mutes.mute(server_id, job_name, until_at=now + length, note=note, actor=actor(), now=now)
            flash(_("Notifications muted until %(time)s.", time=exact_text(muted.until_at)), "success")
    except Refused as refusal:
        return show_dialog("mute", server_id, problem=refusal_text(refusal)), refusal.status
    return redirect(http.local_address(form.get("back")), 303)


@pages_bp.get("/detail/<server_id>/tags")
@guarded(Access.ADMIN)
def tags_form(server_id: str) -> ResponseReturnValue:
    """Ask for the tags of a job and its server, and the size of its destination."""
    return show_dialog("tags", server_id)


@pages_bp.post("/detail/<server_id>/tags")
@guarded(Access.ADMIN)
def save_tags(server_id: str) -> ResponseReturnValue:
    """Store tags and the size of the destination, and return to the previous page."""
    form, now = request.form, runtime.now()
    job_name = form.get("backup", "")
    try:
        own, shared = (servers.read_tags(form.get(name, "").split(",")) for name in ("tags", "server_tags"))
        quota_bytes = read_size(form.get("quota", ""), form.get("unit", "GB"))
        servers.change_tags(server_id, job_name, own, actor=actor(), now=now)
        servers.change_tags(server_id, None, shared, actor=actor(), now=now)
        insight.change_quota(server_id, job_name, quota_bytes, actor=actor(), now=now)
    except Refused as refusal:
        return show_dialog("tags", server_id, problem=refusal_text(refusal)), refusal.status
    flash(_("Saved."), "success")
    return redirect(http.local_address(form.get("back")), 303)


def read_size(text: str, unit: str) -> int | None:
    """Return a number and a unit in bytes, None if blank. Raise Refused."""
    written = text.strip().replace(",", ".")
    if not written:
        return None
    try:
        size = float(written)
    except ValueError:
        size = math.nan
    if not 0 < size < 1_000_000 or unit not in SIZE_UNITS:
        raise Refused("quota_invalid", "quota")
    return round(size * SIZE_UNITS[unit])


def show_dialog(name: str, server_id: str, **values: object) -> str:
    """Render a dialog about a job, as part of the current page or as a page. Raise Refused (404)."""
    job_name = request.values.get("backup", "")
    values |= find_job(server_id, job_name, runtime.now(), visible_server_ids())
    part = f"backups/dashboard/{name}.html"
    values |= {"part": part, "back": _back(), "lengths": MUTE_LENGTHS, "exact_text": exact_text}
    return render_template(part if "HX-Request" in request.headers else "backups/dashboard/dialog_page.html", **values)


def _back() -> str:
    """Return the URL of the previous page, to which the form returns."""
    if "back" in request.form:
        return http.local_address(request.form["back"])
    came_from = urlsplit(request.referrer or "")
    if came_from.netloc != request.host:
        return http.local_address(None)
    return http.local_address(f"{came_from.path}{'?' + came_from.query if came_from.query else ''}")
