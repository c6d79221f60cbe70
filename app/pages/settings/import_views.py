"""Views of the page that brings an old installation along, which is for administrators."""

from typing import BinaryIO, cast

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext

from app.api.client import actor
from app.api.database.views import MOST_BYTES
from app.contracts import AppError, Guard, guarded, takes_bytes
from app.pages.settings.blueprint import bp
from app.pages.settings.database import LABEL, TAB
from app.pages.settings.questions import Question, ask
from app.services import clock
from app.services.transfer import background, received_files

PIECE_BYTES = 8 * 1024**2
KINDS = {
    "servers": lazy_gettext("Servers"),
    "jobs": lazy_gettext("Jobs"),
    "runs": lazy_gettext("Runs"),
    "job settings": lazy_gettext("Settings of jobs"),
    "settings": lazy_gettext("Settings"),
    "channels": lazy_gettext("Channels"),
    "accounts": lazy_gettext("Accounts"),
    "audit entries": lazy_gettext("Audit entries"),
    "overdue alerts": lazy_gettext("Overdue alerts"),
}


@bp.get("/import")
@guarded(Guard.ADMIN)
def show_import() -> ResponseReturnValue:
    """What can be imported, how an import goes, and what became of it."""
    return _show("settings/import.html")


@bp.get("/import/state")
@guarded(Guard.ADMIN)
def show_import_state() -> ResponseReturnValue:
    """How the import goes, for the part of the page that keeps itself fresh."""
    return _show("settings/import_state.html")


@bp.post("/import")
@guarded(Guard.ADMIN)
@takes_bytes(MOST_BYTES)
def start_import() -> ResponseReturnValue:
    """Import the folder that was found, what was received in pieces before, or the files of this form."""
    try:
        source = _receive(request.form.get("source", background.UPLOAD))
        name = request.form.get("file_name") or received_files.database_path().name
        background.start(source, actor=actor(), now=clock.now(), file_name=name[:255])
    except AppError as refusal:
        flash(_("Nothing was imported. %(reason)s", reason=refusal.message), "error")
    return redirect(url_for("settings.show_import"), 303)


@bp.get("/import/discard")
@guarded(Guard.ADMIN)
def ask_to_discard_import() -> ResponseReturnValue:
    """Ask whether what was received shall be thrown away."""
    question = Question(
        title=_("Discard this import?"),
        sentences=(_("The file that was sent and this report are deleted. What was imported stays."),),
        button=_("Discard"),
        action=url_for("settings.discard_import"),
        back=url_for("settings.show_import"),
    )
    return ask(question, tab=TAB, label=LABEL)


@bp.post("/import/discard")
@guarded(Guard.ADMIN)
def discard_import() -> ResponseReturnValue:
    """Throw away what was received."""
    background.forget(actor=actor(), now=clock.now())
    return redirect(url_for("settings.show_import"), 303)


@bp.post("/import/decline")
@guarded(Guard.ADMIN)
def decline_import() -> ResponseReturnValue:
    """Offer the old installation that was found no more."""
    background.decline(actor=actor(), now=clock.now())
    flash(_("You find it under database maintenance if you change your mind."), "success")
    return redirect(url_for("pages.dashboard"), 303)


def _receive(source: str) -> str:
    """Take the files of a form that was sent without script; gives what to import."""
    upload, key = request.files.get("database"), request.files.get("key")
    if upload and upload.filename:
        background.require_rest()
        stream = cast(BinaryIO, upload.stream)
        total = stream.seek(0, 2)
        stream.seek(0)
        received_files.discard()
        received_files.receive_piece(stream, offset=0, total=total)
    if key and key.filename:
        background.require_rest()
        received_files.receive_key(key.read(received_files.MOST_KEY_BYTES))
    return source if source == background.FOLDER else background.UPLOAD


def _show(template: str) -> str:
    old, state = background.find_old_installation(), background.state()
    values = {"old": old, "state": state, "kinds": KINDS, "piece_bytes": PIECE_BYTES, "now": clock.now()}
    return render_template(template, tab=TAB, label=LABEL, **values)
