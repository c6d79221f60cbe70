"""What administrators are shown while the key file does not open stored secrets."""

from typing import BinaryIO, cast

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from flask_login import current_user

from app import runtime
from app.core.db.faults import DATABASE_ERRORS
from app.database import pages as database_pages
from app.database import secrets
from app.database.pages import LABEL, TAB
from app.database.restore import MOST_BYTES
from app.database.secrets import MISSING, OTHER, UNUSABLE, KeyTrouble
from app.legacy_import import importing
from app.plugin import AppError, Guard, guarded, takes_bytes
from app.plugin.errors import NotFound
from app.web.forms import Confirmation, ask_confirmation
from app.web.pages import settings_bp
from app.web.request import actor

SENTENCES = {
    MISSING: lazy_gettext("The key file .duplistatus.key is missing, so stored passwords cannot be read."),
    UNUSABLE: lazy_gettext("The key file .duplistatus.key cannot be used, so stored passwords cannot be read."),
    OTHER: lazy_gettext("The key file .duplistatus.key is not the original one, so stored passwords cannot be read."),
}


def shown_trouble() -> KeyTrouble | None:
    """The trouble, for administrators alone; None as well where the database cannot tell."""
    try:
        return secrets.find_trouble() if getattr(current_user, "is_admin", False) else None
    except DATABASE_ERRORS:
        return None


def sentence(trouble: KeyTrouble) -> str:
    """What is wrong, in the reader's language."""
    return str(SENTENCES[trouble.state])


# Giving up stored secrets whose key file does not come back.


@settings_bp.get("/database/secrets")
@guarded(Guard.ADMIN)
def ask_to_give_up_secrets() -> ResponseReturnValue:
    """Ask whether stored secrets that cannot be read shall be cleared."""
    trouble = secrets.find_trouble()
    if trouble is None:
        raise NotFound("The key file decrypts all stored secrets: there is nothing to clear")
    names = ", ".join(trouble.owners)
    question = Confirmation(
        title=_("Clear stored passwords?"),
        sentences=(
            sentence(trouble),
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
@guarded(Guard.ADMIN)
def give_up_secrets() -> ResponseReturnValue:
    """Clear them."""
    secrets.give_up(actor=actor(), now=runtime.now())
    flash(_("Stored passwords cleared. Enter them again in the settings."), "success")
    return redirect(url_for("settings.index", tab=database_pages.TAB), 303)


# Views of the page that brings an old installation along, which is for administrators.

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
@guarded(Guard.ADMIN)
def show_import() -> ResponseReturnValue:
    """What can be imported, how an import goes, and what became of it."""
    return _show("database/import.html")


@settings_bp.get("/import/state")
@guarded(Guard.ADMIN)
def show_import_state() -> ResponseReturnValue:
    """How the import goes, for the part of the page that keeps itself fresh."""
    return _show("database/import_state.html")


@settings_bp.post("/import")
@guarded(Guard.ADMIN)
@takes_bytes(MOST_BYTES)
def start_import() -> ResponseReturnValue:
    """Import the folder that was found, what was received in pieces before, or the files of this form."""
    try:
        source = _receive(request.form.get("source", importing.UPLOAD))
        name = request.form.get("file_name") or importing.database_path().name
        importing.start_import(source, actor=actor(), now=runtime.now(), file_name=name[:255])
    except AppError as refusal:
        flash(_("Nothing was imported. %(reason)s", reason=refusal.message), "error")
    return redirect(url_for("settings.show_import"), 303)


@settings_bp.get("/import/discard")
@guarded(Guard.ADMIN)
def ask_to_discard_import() -> ResponseReturnValue:
    """Ask whether what was received shall be thrown away."""
    question = Confirmation(
        title=_("Discard this import?"),
        sentences=(_("The uploaded file and this report will be deleted. Imported data is kept."),),
        button=_("Discard"),
        action=url_for("settings.discard_import"),
        back=url_for("settings.show_import"),
    )
    return ask_confirmation(question, tab=TAB, label=LABEL)


@settings_bp.post("/import/discard")
@guarded(Guard.ADMIN)
def discard_import() -> ResponseReturnValue:
    """Throw away what was received."""
    importing.forget_import(actor=actor(), now=runtime.now())
    return redirect(url_for("settings.show_import"), 303)


@settings_bp.post("/import/decline")
@guarded(Guard.ADMIN)
def decline_import() -> ResponseReturnValue:
    """Offer the old installation that was found no more."""
    importing.decline_import(actor=actor(), now=runtime.now())
    flash(_("You can still import it later under Database maintenance."), "success")
    return redirect(url_for("pages.dashboard"), 303)


def _receive(source: str) -> str:
    """Take the files of a form that was sent without script; gives what to import."""
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
