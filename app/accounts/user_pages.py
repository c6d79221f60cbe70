"""Settings pages of the accounts."""

from datetime import UTC, datetime

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from flask_login import current_user
from wtforms import BooleanField, PasswordField, RadioField, SelectMultipleField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.widgets import CheckboxInput, ListWidget

from app import runtime
from app.accounts import passwords, sessions, users
from app.accounts.models import ALL_SERVERS, User
from app.accounts.users import LONGEST_NAME, SHORTEST_NAME, Account, AccountChange, NewAccount
from app.audit.log import Actor
from app.backups import overview
from app.core.errors import Refused
from app.plugin import Access, guarded
from app.web.forms import Column, Confirmation, ListQuery, SettingsForm, ask_confirmation, read_query
from app.web.http import actor, settings_bp

ALL, CHOSEN = "all", "chosen"


class AccountForm(SettingsForm):
    """Fields of both forms: name, role, and the servers that the account may see."""

    username = StringField(
        lazy_gettext("Username"),
        render_kw={
            "required": True,
            "minlength": SHORTEST_NAME,
            "maxlength": LONGEST_NAME,
            "autocomplete": "off",
            "autocapitalize": "none",
            "spellcheck": "false",
        },
    )
    is_admin = BooleanField(
        lazy_gettext("Administrator"),
        description=lazy_gettext("Can change settings, manage users and see all servers."),
    )
    must_change_password = BooleanField(lazy_gettext("Must change password at next sign-in"), default=True)
    sees = RadioField(
        lazy_gettext("Can see"),
        choices=[
            SelectChoice(ALL, lazy_gettext("All servers, including new ones")),
            SelectChoice(CHOSEN, lazy_gettext("Selected servers only")),
        ],
        default=ALL,
    )
    server_ids = SelectMultipleField(
        lazy_gettext("Servers"), option_widget=CheckboxInput(), widget=ListWidget(prefix_label=False), choices=[]
    )

    def offer_servers(self, now: datetime) -> None:
        """Fill in the servers to choose from."""
        servers = sorted(overview.overview(now, ALL_SERVERS).servers, key=lambda server: server.display_name.casefold())
        self.server_ids.choices = [SelectChoice(server.id, server.display_name) for server in servers]

    @property
    def sees_all_servers(self) -> bool:
        """Whether the account is not limited."""
        return bool(self.sees.data != CHOSEN)

    def check_name(self) -> bool:
        """Whether the name has a valid length; otherwise add an error to the field."""
        if SHORTEST_NAME <= len(users.normalise_name(self.username.data or "")) <= LONGEST_NAME:
            return True
        bounds = {"least": SHORTEST_NAME, "most": LONGEST_NAME}
        self.add_error("username", _("Enter a username of %(least)s to %(most)s characters.", **bounds))
        return False


class NewAccountForm(AccountForm):
    """A new account."""

    makes_password = BooleanField(
        lazy_gettext("Generate a password"),
        description=lazy_gettext("Shown once after you create the user."),
        default=True,
    )
    password = PasswordField(
        lazy_gettext("Or enter a password"), render_kw={"autocomplete": "new-password", "maxlength": 1000}
    )

    def attempt(self, actor: Actor, now: datetime) -> Account | None:
        """Create the account; None if the form has errors."""
        is_fine = self.check_name()
        password = "" if self.makes_password.data else self.password.data or ""
        broken = [] if self.makes_password.data else passwords.policy().find_violations(password)
        for violation in broken:
            self.add_refusal(violation)
        if broken or not is_fine:
            return None
        new = NewAccount(
            username=self.username.data or "",
            password=password,
            is_admin=bool(self.is_admin.data),
            must_change_password=bool(self.must_change_password.data),
            sees_all_servers=self.sees_all_servers,
            server_ids=frozenset(self.server_ids.data or ()),
        )
        try:
            return users.create_account(new, actor=actor, now=now)
        except Refused as refusal:
            self.add_refusal(refusal)
            return None


class ChangedAccountForm(AccountForm):
    """An existing account."""

    def attempt(self, user_id: str, actor: Actor, now: datetime) -> bool:
        """Change the account; False if the form has errors. Raise Refused (404)."""
        if not self.check_name():
            return False
        change = AccountChange(
            username=self.username.data,
            is_admin=bool(self.is_admin.data),
            must_change_password=bool(self.must_change_password.data),
            sees_all_servers=self.sees_all_servers,
            server_ids=frozenset(self.server_ids.data or ()),
        )
        try:
            users.change_account(user_id, change, actor=actor, now=now)
        except Refused as refusal:
            if refusal.status == 404:
                raise
            self.add_refusal(refusal)
            return False
        return True


# What the tab of the accounts shows: the list as it was asked for, and one account.

MOST_LISTED = 1000
NEVER = datetime.min.replace(tzinfo=UTC)

COLUMNS: tuple[Column[Account], ...] = (
    Column("name", lazy_gettext("Name"), lambda account: account.user.username),
    Column("role", lazy_gettext("Role"), lambda account: (not account.user.is_admin, account.user.username)),
    Column("login", lazy_gettext("Last sign-in"), lambda account: account.user.last_login_at or NEVER),
    Column("updated", lazy_gettext("Changed"), lambda account: account.user.updated_at),
    Column("created", lazy_gettext("Created"), lambda account: account.user.created_at),
)


def list_accounts(query: ListQuery) -> list[Account]:
    """Return the accounts that match the query, in its order."""
    found = users.list_accounts(search=query.search, limit=MOST_LISTED).accounts
    return query.ordered(found, COLUMNS)


def form_of(account: Account, now: datetime, *, is_sent: bool = True) -> ChangedAccountForm:
    """Return the form of an account.

    It is filled from the stored values, or with `is_sent` from the request.
    """
    user = account.user
    source = {} if is_sent else {"formdata": None}
    form = ChangedAccountForm(
        **source,
        username=user.username,
        is_admin=user.is_admin,
        must_change_password=user.must_change_password,
        sees=ALL if user.sees_all_servers else CHOSEN,
        server_ids=list(account.server_ids),
    )
    form.offer_servers(now)
    return form


def deletion_question(user: User) -> Confirmation:
    """Return the confirmation before an account is deleted."""
    sentences = [_("The account and its sessions will be deleted immediately. Its audit log entries are kept.")]
    if user.is_admin:
        sentences.append(_("This account is an administrator."))
    return Confirmation(
        title=_("Delete %(name)s?", name=user.username),
        sentences=sentences,
        button=_("Delete %(name)s", name=user.username),
        action=url_for("settings.delete_user", user_id=user.id),
        back=url_for("settings.show_user", user_id=user.id),
    )


def reset_question(user: User) -> Confirmation:
    """Return the confirmation before a password is reset."""
    return Confirmation(
        title=_("Reset password of %(name)s?", name=user.username),
        sentences=[
            _(
                "A new password is generated and shown to you once. The old password stops "
                "working, and all sessions end."
            ),
            _("The user must set a new password at the next sign-in."),
        ],
        button=_("Reset password"),
        action=url_for("settings.reset_password", user_id=user.id),
        back=url_for("settings.show_user", user_id=user.id),
        is_dangerous=False,
    )


# Views of the tab, for administrators

TAB = "users"


def show_all() -> ResponseReturnValue:
    """List all accounts, or those whose name contains a text."""
    query = read_query(request.args, COLUMNS)
    values = {"query": query, "columns": COLUMNS, "now": runtime.now()}
    return render_template("accounts/users.html", tab=TAB, accounts=list_accounts(query), **values)


@settings_bp.get("/users/new")
@guarded(Access.ADMIN)
def new_user() -> ResponseReturnValue:
    """Show the form for a new account."""
    return _show_new(NewAccountForm(formdata=None))


@settings_bp.post("/users/new")
@guarded(Access.ADMIN)
def create_user() -> ResponseReturnValue:
    """Create an account. A generated password is shown in this response only."""
    form = NewAccountForm()
    account = form.attempt(actor(), runtime.now())
    if account is None:
        return _show_new(form), 400
    if account.temporary_password is not None:
        return _show_password(account, _("User created."))
    flash(_("%(name)s was created.", name=account.user.username), "success")
    return redirect(url_for("settings.index", tab=TAB), 303)


@settings_bp.get("/users/<user_id>")
@guarded(Access.ADMIN)
def show_user(user_id: str) -> ResponseReturnValue:
    """Show one account."""
    account = users.find_account(user_id)
    return _show(account, form_of(account, runtime.now()))


@settings_bp.post("/users/<user_id>")
@guarded(Access.ADMIN)
def save_user(user_id: str) -> ResponseReturnValue:
    """Change an account."""
    account = users.find_account(user_id)
    form = form_of(account, runtime.now())
    if not form.attempt(user_id, actor(), runtime.now()):
        return _show(users.find_account(user_id), form), 400
    flash(_("%(name)s was saved.", name=form.username.data), "success")
    return redirect(url_for("settings.index", tab=TAB), 303)


@settings_bp.post("/users/<user_id>/unlock")
@guarded(Access.ADMIN)
def unlock_user(user_id: str) -> ResponseReturnValue:
    """Unlock an account that was locked after too many wrong passwords."""
    users.unlock_account(user_id, actor=actor(), now=runtime.now())
    flash(_("The account is unlocked."), "success")
    return redirect(url_for("settings.show_user", user_id=user_id), 303)


@settings_bp.get("/users/<user_id>/password")
@guarded(Access.ADMIN)
def confirm_reset(user_id: str) -> ResponseReturnValue:
    """Ask for confirmation before a password is reset."""
    return ask_confirmation(reset_question(users.find_account(user_id).user), tab=TAB, label=_("Users"))


@settings_bp.post("/users/<user_id>/password")
@guarded(Access.ADMIN)
def reset_password(user_id: str) -> ResponseReturnValue:
    """Reset the password of an account; the new one is shown in this response only."""
    change, session_hash = AccountChange(resets_password=True), sessions.current().id_hash
    account = users.change_account(user_id, change, actor=actor(), now=runtime.now(), kept_session=session_hash)
    return _show_password(account, _("The password was reset."))


@settings_bp.get("/users/<user_id>/delete")
@guarded(Access.ADMIN)
def confirm_user_deletion(user_id: str) -> ResponseReturnValue:
    """Ask for confirmation before an account is deleted."""
    return ask_confirmation(deletion_question(users.find_account(user_id).user), tab=TAB, label=_("Users"))


@settings_bp.post("/users/<user_id>/delete")
@guarded(Access.ADMIN)
def delete_user(user_id: str) -> ResponseReturnValue:
    """Delete an account; rejected for your own and for the last administrator."""
    account = users.find_account(user_id)
    try:
        users.delete_account(user_id, actor=actor(), now=runtime.now())
    except Refused as refusal:
        form = form_of(account, runtime.now(), is_sent=False)
        form.add_refusal(refusal)
        return _show(account, form), refusal.status
    flash(_("%(name)s was deleted.", name=account.user.username), "success")
    return redirect(url_for("settings.index", tab=TAB), 303)


def _show(account: Account, form: ChangedAccountForm) -> str:
    values = {"user": account.user, "is_own": account.user.id == current_user.id, "now": runtime.now()}
    return render_template("accounts/user.html", tab=TAB, form=form, **values)


def _show_new(form: NewAccountForm) -> str:
    form.offer_servers(runtime.now())
    return render_template("accounts/user.html", tab=TAB, form=form, user=None, policy=passwords.policy())


def _show_password(account: Account, sentence: str) -> str:
    return render_template("accounts/new_password.html", tab=TAB, account=account, sentence=sentence)
