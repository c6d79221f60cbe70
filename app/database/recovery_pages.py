"""Pages for a missing or wrong key file, and for importing an older installation."""

from typing import BinaryIO, cast

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from flask_login import current_user

from app import runtime
from app.core.db.faults import DATABASE_ERRORS
from app.core.errors import Refused
from app.database import pages as database_pages
from app.database import secrets
from app.database.pages import LABEL, TAB
from app.database.restore import MOST_BYTES
from app.database.secrets import MISSING, OTHER, UNUSABLE, KeyProblem
from app.legacy_import import importing
from app.plugin import Access, guarded, takes_bytes
from app.web.errors import refusal_text
from app.web.forms import Confirmation, ask_confirmation
from app.web.http import actor, settings_bp

SENTENCES = {
    MISSING: lazy_gettext("The key file .duplistatus.key is missing, so stored passwords cannot be read."),
    UNUSABLE: lazy_gettext("The key file .duplistatus.key cannot be used, so stored passwords cannot be read."),
    OTHER: lazy_gettext("The key file .duplistatus.key is not the original one, so stored passwords cannot be read."),
}


def visible_key_problem() -> KeyProblem | None:
    """Return the key file problem, for administrators only.

    None if the database cannot be read.
    """
    try:
        return secrets.find_key_problem() if getattr(current_user, "is_admin", False) else None
    except DATABASE_ERRORS:
        return None


def sentence(problem: KeyProblem) -> str:
    """Return the problem in the language of the page."""
    return str(SENTENCES[problem.state])


# Clearing secrets whose key file is lost


@settings_bp.get("/database/secrets")
@guarded(Access.ADMIN)
def ask_to_give_up_secrets() -> ResponseReturnValue:
    """Ask for confirmation before clearing secrets that cannot be decrypted."""
    problem = secrets.find_key_problem()
    if problem is None:
        raise Refused("no_secrets_to_clear", status=404)
    names = ", ".join(problem.owners)
    question = Confirmation(
        title=_("Clear stored passwords?"),
        sentences=(
            sentence(problem),
            _("The stored passwords of these servers and channels will be permanently cleared: %(names)s.", names=names)
            if names
            else _("No stored passwords are lost; a new key file is created."),
            _("If you still have the original key file, restore it instead: stored passwords can then be read again."),
        ),
        button=_("Clear passwords"),
        action=url_for("settings.give_up_secrets"),
        back=url_for("settings.index", tab=database_pages.TAB),
    )
    return ask_confirmation(question, tab=database_pages.TAB, label=database_pages.LABEL)


@settings_bp.post("/database/secrets")
@guarded(Access.ADMIN)
def give_up_secrets() -> ResponseReturnValue:
    """Clear secrets that cannot be decrypted."""
    secrets.clear_unreadable(actor=actor(), now=runtime.now())
    flash(_("Stored passwords cleared. Enter them again in the settings."), "success")
    return redirect(url_for("settings.index", tab=database_pages.TAB), 303)


# Import of an older installation, for administrators

PIECE_BYTES = 8 * 1024**2
KINDS = {
    "servers": lazy_gettext("Servers"),
    "jobs": lazy_gettext("Jobs"),
    "runs": lazy_gettext("Runs"),
    "job settings": lazy_gettext("Job settings"),
    "settings": lazy_gettext("Settings"),
    "channels": lazy_gettext("Channels"),
    "accounts": lazy_gettext("Accounts"),
    "audit entries": lazy_gettext("Audit entries"),
    "overdue alerts": lazy_gettext("Overdue alerts"),
}


@settings_bp.get("/import")
@guarded(Access.ADMIN)
def show_import() -> ResponseReturnValue:
    """Show what can be imported, the progress and the report of the latest import."""
    return _show("database/import.html")


@settings_bp.get("/import/state")
@guarded(Access.ADMIN)
def show_import_state() -> ResponseReturnValue:
    """Show the progress of the import: the part of the page that refreshes itself."""
    return _show("database/import_state.html")


@settings_bp.post("/import")
@guarded(Access.ADMIN)
@takes_bytes(MOST_BYTES)
def start_import() -> ResponseReturnValue:
    """Import the detected folder, files uploaded in chunks, or the files of this form."""
    try:
        source = _receive(request.form.get("source", importing.UPLOAD))
        name = request.form.get("file_name") or importing.database_path().name
        importing.start_import(source, actor=actor(), now=runtime.now(), file_name=name[:255])
    except Refused as refusal:
        flash(_("Nothing was imported. %(reason)s", reason=refusal_text(refusal)), "error")
    return redirect(url_for("settings.show_import"), 303)


@settings_bp.get("/import/discard")
@guarded(Access.ADMIN)
def ask_to_discard_import() -> ResponseReturnValue:
    """Ask for confirmation before discarding the uploaded files."""
    question = Confirmation(
        title=_("Discard this import?"),
        sentences=(_("The uploaded file and this report will be deleted. Imported data is kept."),),
        button=_("Discard"),
        action=url_for("settings.discard_import"),
        back=url_for("settings.show_import"),
    )
    return ask_confirmation(question, tab=TAB, label=LABEL)


@settings_bp.post("/import/discard")
@guarded(Access.ADMIN)
def discard_import() -> ResponseReturnValue:
    """Discard the uploaded files."""
    importing.forget_import(actor=actor(), now=runtime.now())
    return redirect(url_for("settings.show_import"), 303)


@settings_bp.post("/import/decline")
@guarded(Access.ADMIN)
def decline_import() -> ResponseReturnValue:
    """Dismiss the offer to import the detected installation."""
    importing.decline_import(actor=actor(), now=runtime.now())
    flash(_("You can still import it later under Database maintenance."), "success")
    return redirect(url_for("pages.dashboard"), 303)


def _receive(source: str) -> str:
    """Store the files of a form that was sent without JavaScript.

    Returns the source of the import.
    """
    upload, key = request.files.get("database"), request.files.get("key")
    if upload and upload.filename:
        importing.require_rest()
        stream = cast(BinaryIO, upload.stream)
        total = stream.seek(0, 2)
        stream.seek(0)
        importing.discard_received()
        importing.receive_piece(stream, offset=0, total=total)
    if key and key.filename:
        importing.require_rest()
        importing.receive_key(key.read(importing.MOST_KEY_BYTES))
    return source if source == importing.FOLDER else importing.UPLOAD


def _show(template: str) -> str:
    old, state = importing.find_old_installation(), importing.import_state()
    values = {"old": old, "state": state, "kinds": KINDS, "piece_bytes": PIECE_BYTES, "now": runtime.now()}
    return render_template(template, tab=TAB, label=LABEL, **values)
