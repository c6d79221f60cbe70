"""Views of the tab of accounts, which is for administrators."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user

from app.api.client import actor
from app.contracts import AppError, Guard, guarded
from app.pages.settings import users as layout
from app.pages.settings.blueprint import bp
from app.pages.settings.questions import ask
from app.pages.settings.sorted_lists import read_query
from app.pages.settings.user_forms import ChangedAccountForm, NewAccountForm
from app.services import accounts, clock, passwords, sessions
from app.services.accounts import Account, AccountChange

TAB = "users"


def show_all() -> ResponseReturnValue:
    """All accounts, or those whose name holds a text."""
    query = read_query(request.args, layout.COLUMNS)
    values = {"query": query, "columns": layout.COLUMNS, "now": clock.now()}
    return render_template("settings/users.html", tab=TAB, accounts=layout.list_accounts(query), **values)


@bp.get("/users/new")
@guarded(Guard.ADMIN)
def new_user() -> ResponseReturnValue:
    """The form for another account."""
    return _show_new(NewAccountForm(formdata=None))


@bp.post("/users/new")
@guarded(Guard.ADMIN)
def create_user() -> ResponseReturnValue:
    """Make an account. A password that was made is shown in this answer and never again."""
    form = NewAccountForm()
    account = form.attempt(actor(), clock.now())
    if account is None:
        return _show_new(form), 400
    if account.temporary_password is not None:
        return _show_password(account, _("The account was made."))
    flash(_("%(name)s was made.", name=account.user.username), "success")
    return redirect(url_for("settings.index", tab=TAB), 303)


@bp.get("/users/<user_id>")
@guarded(Guard.ADMIN)
def show_user(user_id: str) -> ResponseReturnValue:
    """One account."""
    account = accounts.find_account(user_id)
    return _show(account, layout.form_of(account, clock.now()))


@bp.post("/users/<user_id>")
@guarded(Guard.ADMIN)
def save_user(user_id: str) -> ResponseReturnValue:
    """Change an account."""
    account = accounts.find_account(user_id)
    form = layout.form_of(account, clock.now())
    if not form.attempt(user_id, actor(), clock.now()):
        return _show(accounts.find_account(user_id), form), 400
    flash(_("%(name)s was saved.", name=form.username.data), "success")
    return redirect(url_for("settings.index", tab=TAB), 303)


@bp.post("/users/<user_id>/unlock")
@guarded(Guard.ADMIN)
def unlock_user(user_id: str) -> ResponseReturnValue:
    """Open an account that too many wrong passwords have locked."""
    accounts.unlock_account(user_id, actor=actor(), now=clock.now())
    flash(_("The account is unlocked."), "success")
    return redirect(url_for("settings.show_user", user_id=user_id), 303)


@bp.get("/users/<user_id>/password")
@guarded(Guard.ADMIN)
def confirm_reset(user_id: str) -> ResponseReturnValue:
    """Ask whether an account shall get a new password."""
    return ask(layout.reset_question(accounts.find_account(user_id).user), tab=TAB, label=_("Users"))


@bp.post("/users/<user_id>/password")
@guarded(Guard.ADMIN)
def reset_password(user_id: str) -> ResponseReturnValue:
    """Give an account a new password, which is shown in this answer and never again."""
    change, kept = AccountChange(resets_password=True), sessions.current().id_hash
    account = accounts.change_account(user_id, change, actor=actor(), now=clock.now(), kept_session=kept)
    return _show_password(account, _("The password was reset."))


@bp.get("/users/<user_id>/delete")
@guarded(Guard.ADMIN)
def confirm_user_deletion(user_id: str) -> ResponseReturnValue:
    """Ask whether an account shall be deleted."""
    return ask(layout.deletion_question(accounts.find_account(user_id).user), tab=TAB, label=_("Users"))


@bp.post("/users/<user_id>/delete")
@guarded(Guard.ADMIN)
def delete_user(user_id: str) -> ResponseReturnValue:
    """Delete an account; one's own and the last administrator's stay."""
    account = accounts.find_account(user_id)
    try:
        accounts.delete_account(user_id, actor=actor(), now=clock.now())
    except AppError as refusal:
        form = layout.form_of(account, clock.now(), is_sent=False)
        form.take_refusal(refusal)
        return _show(account, form), refusal.status
    flash(_("%(name)s was deleted.", name=account.user.username), "success")
    return redirect(url_for("settings.index", tab=TAB), 303)


def _show(account: Account, form: ChangedAccountForm) -> str:
    values = {"user": account.user, "is_own": account.user.id == current_user.id, "now": clock.now()}
    return render_template("settings/user.html", tab=TAB, form=form, **values)


def _show_new(form: NewAccountForm) -> str:
    form.offer_servers(clock.now())
    return render_template("settings/user.html", tab=TAB, form=form, user=None, policy=passwords.policy())


def _show_password(account: Account, sentence: str) -> str:
    return render_template("settings/new_password.html", tab=TAB, account=account, sentence=sentence)
