"""The pages. Each view loads through a service, lays out through a module of its own name, and renders."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user, login_user

from app.api.auth.views import end_session
from app.api.client import visible_server_ids
from app.contracts import Guard, guarded
from app.pages import addresses, languages, metrics, run_detail, server_detail
from app.pages import dashboard as boards
from app.pages import first_steps as steps
from app.pages.forms import LoginForm, PasswordForm
from app.pages.live import render_live
from app.services import clock, history, passwords, preferences, users
from app.settings import DEFAULT_PASSWORD

bp = Blueprint("pages", __name__, template_folder="templates")

_OLD_PREFIXES = ", ".join(f'"{prefix}"' for prefix in languages.PREFIXES)


@bp.get("/")
def dashboard() -> ResponseReturnValue:
    """All backups at one look; the first steps while nothing has been reported yet."""
    query = boards.read_query(request.args, current_user.preferences)
    board = boards.build_board(history.overview(clock.now(), visible_server_ids()), query)
    values = {"columns": boards.COLUMNS, "card_orders": boards.CARD_ORDERS, "option_sets": steps.option_sets()}
    return render_live("dashboard", board.etag, board=board, **values)


@bp.get("/detail/<server_id>")
def server(server_id: str) -> ResponseReturnValue:
    """One server, or one of its jobs: figures, history, charts."""
    query = server_detail.read_query(request.args)
    detail = server_detail.build_detail(server_id, query, clock.now(), visible_server_ids())
    values = {"columns": server_detail.COLUMNS, "range_labels": metrics.RANGE_LABELS}
    return render_live("server", detail.etag, detail=detail, **values)


@bp.get("/detail/<server_id>/job")
def job_card(server_id: str) -> ResponseReturnValue:
    """How one job stands, for the dialog."""
    values = server_detail.find_job(server_id, request.args.get("backup", ""), clock.now(), visible_server_ids())
    return render_template("server/job_card.html", **values)


@bp.get("/detail/<server_id>/backup/<run_id>")
def run(server_id: str, run_id: str) -> ResponseReturnValue:
    """One run: all its figures and its log."""
    history.find_server(server_id, clock.now(), visible_server_ids())
    detail = history.find_run(run_id, server_id)
    return render_template("run/page.html", **run_detail.lay_out(detail, clock.now()))


@bp.get("/detail/<server_id>/backup/<run_id>/versions")
def versions(server_id: str, run_id: str) -> ResponseReturnValue:
    """The versions there were after a run, for the dialog."""
    history.find_server(server_id, clock.now(), visible_server_ids())
    detail = history.find_run(run_id, server_id)
    return render_template("run/versions.html", **run_detail.lay_out(detail, clock.now()))


@bp.get("/charts")
def charts() -> ResponseReturnValue:
    """The charts over all servers."""
    built = metrics.build_metrics(metrics.read_range(request.args), clock.now(), visible=visible_server_ids())
    return render_live("charts", built.etag, metrics=built, range_labels=metrics.RANGE_LABELS)


@bp.get("/connect")
def first_steps() -> ResponseReturnValue:
    """How to make a Duplicati report here."""
    values = {"option_sets": steps.option_sets(), "upload_address": steps.upload_address()}
    return render_template("first_steps.html", **values)


@bp.post("/preferences")
def save_preferences() -> ResponseReturnValue:
    """Keep how this person likes to see things, and go back to where they were."""
    preferences.save(current_user.id, request.form, now=clock.now())
    return redirect(addresses.local_address(request.form.get("back")), 303)


@bp.get("/login")
@guarded(Guard.OPEN)
def login() -> ResponseReturnValue:
    """The form to sign in; whoever is signed in already goes on."""
    if current_user.is_authenticated:
        return redirect(addresses.local_address(request.args.get("redirect")), 303)
    return _show_login(LoginForm(formdata=None))


@bp.post("/login")
@guarded(Guard.SESSION)
def sign_in() -> ResponseReturnValue:
    """Check name and password."""
    form = LoginForm()
    result = form.attempt()
    if result is None:
        return _show_login(form), 401
    login_user(result.user)
    if result.is_key_changed:
        flash(
            _("The key file has changed, so stored passwords were cleared. Enter them again in the settings."), "error"
        )
    return redirect(addresses.local_address(request.args.get("redirect")), 303)


@bp.post("/logout")
@guarded(Guard.SESSION)
def logout() -> ResponseReturnValue:
    """End the session."""
    end_session()
    return redirect(url_for("pages.login"), 303)


@bp.get("/change-password")
@guarded(Guard.LOGIN, before_password_change=True)
def change_password() -> ResponseReturnValue:
    """The form for a new password."""
    return _show_password_form(PasswordForm(formdata=None))


@bp.post("/change-password")
@guarded(Guard.LOGIN, before_password_change=True)
def save_password() -> ResponseReturnValue:
    """Change the password and go on to the dashboard."""
    form = PasswordForm()
    if not form.attempt():
        return _show_password_form(form), 400
    flash(_("Your password has been changed."), "success")
    return redirect(url_for("pages.dashboard"), 303)


@bp.post("/language")
@guarded(Guard.SESSION, before_password_change=True)
def choose_language() -> ResponseReturnValue:
    """Speak another language from now on: on this device, and for the account on all of them."""
    code = languages.known_language(request.form.get("language"))
    if code and current_user.is_authenticated:
        preferences.save(current_user.id, {"language": code}, now=clock.now())
    back = request.form.get("back", "")
    return languages.remember(redirect(back if addresses.is_local(back) else url_for("pages.dashboard"), 303), code)


@bp.get(f"/<any({_OLD_PREFIXES}):locale>/", strict_slashes=False)
@bp.get(f"/<any({_OLD_PREFIXES}):locale>/<path:rest>")
@guarded(Guard.OPEN)
def old_bookmark(locale: str, rest: str = "") -> ResponseReturnValue:
    """Send an address with a language in front to the one without, and remember the language."""
    return languages.remember(redirect(addresses.without_locale(rest), 308), locale)


def _show_login(form: LoginForm) -> str:
    values = {"shows_default_account": users.must_admin_change_password(), "default_password": DEFAULT_PASSWORD}
    return render_template("account/login.html", form=form, problem=form.problem, **values)


def _show_password_form(form: PasswordForm) -> str:
    values = {"policy": passwords.policy(), "is_forced": current_user.must_change_password}
    return render_template("account/change_password.html", form=form, problems=form.problems, **values)
