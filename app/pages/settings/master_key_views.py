"""Giving up stored secrets whose key file does not come back."""

from flask import flash, redirect, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from app.api.client import actor
from app.contracts import Guard, guarded
from app.contracts.errors import NotFound
from app.pages import master_key
from app.pages.settings import database as layout
from app.pages.settings.blueprint import bp
from app.pages.settings.questions import Question, ask
from app.services import clock, secrets


@bp.get("/database/secrets")
@guarded(Guard.ADMIN)
def ask_to_give_up_secrets() -> ResponseReturnValue:
    """Ask whether stored secrets that cannot be read shall be cleared."""
    trouble = secrets.find_trouble()
    if trouble is None:
        raise NotFound("The key file opens all stored secrets: there is nothing to give up")
    names = ", ".join(trouble.owners)
    question = Question(
        title=_("Clear stored passwords?"),
        sentences=(
            master_key.sentence(trouble),
            _("The stored passwords of these servers and channels are cleared permanently: %(names)s.", names=names)
            if names
            else _("No stored password is lost; a new key file is created."),
            _("If you still have the original key file, restore it instead: stored passwords can then be read again."),
        ),
        button=_("Clear passwords"),
        action=url_for("settings.give_up_secrets"),
        back=url_for("settings.index", tab=layout.TAB),
    )
    return ask(question, tab=layout.TAB, label=layout.LABEL)


@bp.post("/database/secrets")
@guarded(Guard.ADMIN)
def give_up_secrets() -> ResponseReturnValue:
    """Clear them."""
    secrets.give_up(actor=actor(), now=clock.now())
    flash(_("Stored passwords cleared. Enter them again in the settings."), "success")
    return redirect(url_for("settings.index", tab=layout.TAB), 303)
