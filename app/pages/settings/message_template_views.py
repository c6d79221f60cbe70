"""Views of the tab of templates."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user

from app.api.client import actor, visible_server_ids
from app.api.trial_rates import count_trial
from app.contracts import AppError, Guard, guarded
from app.pages.settings import message_templates as layout
from app.pages.settings.blueprint import bp
from app.pages.settings.questions import Question, ask
from app.services import clock, notification_settings, preferences, template_examples

TAB = "templates"


def show() -> ResponseReturnValue:
    """One template: the one that is asked for, or that was looked at last."""
    kind = layout.known_kind(request.args.get("kind") or preferences.of(current_user).template_tab)
    preferences.remember(current_user, template_tab=kind)
    return _show(layout.build_page(kind, clock.now(), visible_server_ids(), job_id=request.args.get("job", "")))


@bp.post("/templates/language")
@guarded(Guard.ADMIN)
def save_template_language() -> ResponseReturnValue:
    """Choose the language of messages, their dates and numbers."""
    if layout.is_language(request.form.get("language")):
        notification_settings.save_templates({}, request.form["language"], actor=actor(), now=clock.now())
        flash(_("Saved. Texts that nobody changed are in this language now."), "success")
    return _back(request.form.get("kind"))


@bp.post("/templates/<kind>")
@guarded(Guard.ADMIN)
def save_template(kind: str) -> ResponseReturnValue:
    """Store a template, or say at its fields why not."""
    kind, template = layout.known_kind(kind), layout.read_template(request.form)
    try:
        notification_settings.save_templates({kind: layout.fields_of(template)}, None, actor=actor(), now=clock.now())
    except AppError as refusal:
        return _show(_entered(kind, refusal.extra.get("fields"))), 400
    flash(_("Saved."), "success")
    return _back(kind)


@bp.post("/templates/<kind>/preview")
def preview_template(kind: str) -> ResponseReturnValue:
    """What was entered, filled with a real run: in place, or as the page where there is no script."""
    page = _entered(layout.known_kind(kind), None)
    return render_template("settings/template_preview.html", page=page) if _is_part() else _show(page)


@bp.post("/templates/<kind>/test")
@guarded(Guard.LOGIN, needs_all_servers=True)
def try_template(kind: str) -> ResponseReturnValue:
    """Send what was entered, filled as in the preview, through every channel."""
    count_trial()
    page = _entered(layout.known_kind(kind), None)
    try:
        taken, failures = template_examples.send_test(
            page.kind, page.template, page.values, actor=actor(), now=clock.now()
        )
    except AppError as refusal:
        taken, failures = [], [refusal.message]
    values = {"taken": taken, "failures": failures, "at": clock.now()}
    if _is_part():
        return render_template("settings/template_trial.html", **values)
    return _show(page, **values)


@bp.get("/templates/<kind>/reset")
@guarded(Guard.ADMIN)
def confirm_template_reset(kind: str) -> ResponseReturnValue:
    """Ask whether a template, or all of them, shall be ours again."""
    is_all = kind == "all"
    question = Question(
        title=_("Go back to the built-in texts?") if is_all else _("Go back to the built-in text?"),
        sentences=[_("What was written here goes; the texts follow the chosen language again.")],
        button=_("Reset"),
        action=url_for("settings.reset_template", kind=kind),
        back=url_for("settings.index", tab=TAB, kind=None if is_all else kind),
    )
    return ask(question, tab=TAB, label=_("Templates"))


@bp.post("/templates/<kind>/reset")
@guarded(Guard.ADMIN)
def reset_template(kind: str) -> ResponseReturnValue:
    """Go back to the built-in text of a template, or of all."""
    kinds = tuple(layout.KIND_WORDS) if kind == "all" else (layout.known_kind(kind),)
    notification_settings.reset_templates(kinds, actor=actor(), now=clock.now())
    flash(_("The built-in text is back.") if len(kinds) == 1 else _("The built-in texts are back."), "success")
    return _back(None if kind == "all" else kind)


def _entered(kind: str, problems: dict[str, str] | None) -> layout.Page:
    return layout.build_page(
        kind,
        clock.now(),
        visible_server_ids(),
        job_id=request.form.get("job", ""),
        # Who may only look sends no fields, and sees what is stored.
        entered=layout.read_template(request.form) if "message" in request.form else None,
        problems=problems,
    )


def _show(page: layout.Page, **more: object) -> str:
    words = {"kinds": layout.KIND_WORDS, "priorities": layout.PRIORITY_WORDS}
    values = {**words, "message_languages": layout.language_choices()}
    return render_template("settings/templates.html", tab=TAB, page=page, **values, **more)


def _is_part() -> bool:
    return "HX-Request" in request.headers


def _back(kind: str | None) -> ResponseReturnValue:
    return redirect(url_for("settings.index", tab=TAB, kind=kind), 303)
