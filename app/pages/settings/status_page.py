"""The section of the settings about the page for everybody: its switch, its link, and what is on it."""

from typing import Any

from flask import flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from app.api.client import actor
from app.contracts import AppError, Guard, guarded
from app.pages.settings.blueprint import bp
from app.pages.settings.questions import Question, ask
from app.services import clock, history, status_page
from app.services.declarations import LONGEST_TITLE
from app.services.visibility import ALL_SERVERS

TAB = "publishing"


def section_values() -> dict[str, Any]:
    """What `settings/status_page.html` asks for."""
    page = status_page.current()
    link = url_for("status_page.show", slug=page.slug, _external=True) if page.slug else ""
    return {
        "status_page": page,
        "status_link": link,
        "status_servers": history.overview(clock.now(), ALL_SERVERS).servers,
    }


@bp.post("/status-page")
@guarded(Guard.ADMIN)
def save_status_page() -> ResponseReturnValue:
    """Set the page up."""
    sent = request.form
    try:
        page = status_page.save(
            is_enabled="is_enabled" in sent,
            title=sent.get("title", ""),
            shows_names="shows_names" in sent,
            shows_all=sent.get("scope") != "chosen",
            server_ids=sent.getlist("server"),
            job_ids=[int(text) for text in sent.getlist("job") if text.isascii() and text.isdigit()],
            actor=actor(),
            now=clock.now(),
        )
    except AppError as refusal:
        flash(_refused(refusal), "error")
    else:
        flash(_("The status page is on.") if page.is_enabled else _("The status page is off."), "success")
    return _back()


@bp.get("/status-page/new-link")
@guarded(Guard.ADMIN)
def ask_new_status_link() -> ResponseReturnValue:
    """Ask before the link is replaced."""
    question = Question(
        title=_("Make a new link?"),
        sentences=[_("The old link stops working at once. Everybody who should see the page needs the new one.")],
        button=_("Make a new link"),
        action=url_for("settings.renew_status_link"),
        back=url_for("settings.index", tab=TAB),
    )
    return ask(question, tab=TAB, label=_("Publishing"))


@bp.post("/status-page/new-link")
@guarded(Guard.ADMIN)
def renew_status_link() -> ResponseReturnValue:
    """Replace the link."""
    status_page.renew_link(actor=actor(), now=clock.now())
    flash(_("The page has a new link; the old one leads nowhere."), "success")
    return _back()


def _refused(refusal: AppError) -> str:
    if refusal.message.startswith("title:"):
        return _("The title is too long: %(count)s characters at most.", count=LONGEST_TITLE)
    if refusal.message.startswith("servers:"):
        return _("Choose at least one server or job, or show all.")
    return refusal.message


def _back() -> ResponseReturnValue:
    return redirect(url_for("settings.index", tab=TAB, _anchor="status-page"), 303)
