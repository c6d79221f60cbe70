"""Forms of accounts: making one, and changing one."""

from datetime import datetime

from flask_babel import gettext as _
from flask_babel import lazy_gettext, ngettext
from wtforms import BooleanField, PasswordField, RadioField, SelectMultipleField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.widgets import CheckboxInput, ListWidget

from app.contracts import AppError
from app.contracts.errors import Conflict
from app.domain.password_policy import PasswordPolicy
from app.pages.settings.forms import SettingsForm
from app.services import accounts, history, passwords
from app.services.accounts import LONGEST_NAME, SHORTEST_NAME, Account, AccountChange, NewAccount
from app.services.audit import Actor
from app.services.visibility import ALL_SERVERS

ALL, CHOSEN = "all", "chosen"


class AccountForm(SettingsForm):
    """What both forms ask: name, role, and the servers that the account may see."""

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
        description=lazy_gettext("Changes settings, keeps accounts, and sees all servers."),
    )
    must_change_password = BooleanField(lazy_gettext("Has to choose a new password at the next sign-in"), default=True)
    sees = RadioField(
        lazy_gettext("Sees"),
        choices=[
            SelectChoice(ALL, lazy_gettext("All servers, future ones too")),
            SelectChoice(CHOSEN, lazy_gettext("Only the servers chosen here")),
        ],
        default=ALL,
    )
    server_ids = SelectMultipleField(
        lazy_gettext("Servers"), option_widget=CheckboxInput(), widget=ListWidget(prefix_label=False), choices=[]
    )

    def offer_servers(self, now: datetime) -> None:
        """Fill in which servers there are."""
        servers = sorted(history.overview(now, ALL_SERVERS).servers, key=lambda server: server.display_name.casefold())
        self.server_ids.choices = [SelectChoice(server.id, server.display_name) for server in servers]

    @property
    def sees_all_servers(self) -> bool:
        """Whether the account is not limited."""
        return bool(self.sees.data != CHOSEN)

    def check_name(self) -> bool:
        """Whether the name has a length that will do; otherwise it is said at the field."""
        if SHORTEST_NAME <= len(accounts.normalise_name(self.username.data or "")) <= LONGEST_NAME:
            return True
        bounds = {"least": SHORTEST_NAME, "most": LONGEST_NAME}
        self.refuse("username", _("A name has %(least)s to %(most)s characters.", **bounds))
        return False

    def take_refusal(self, refusal: AppError) -> None:
        """Say at its field what the service refused, in the reader's language where we know the case."""
        if isinstance(refusal, Conflict):
            self.refuse("username", _("Another account has this name."))
        elif refusal.message.startswith("The last admin"):
            self.refuse("is_admin", _("This is the last administrator, who has to stay one."))
        elif refusal.message == "Cannot delete your own account":
            self.refuse("", _("You cannot delete your own account."))
        elif refusal.message == "Cannot delete the last admin account":
            self.refuse("", _("The last administrator cannot be deleted."))
        else:
            self.take(refusal, {"Username": "username", "serverIds": "server_ids"})


class NewAccountForm(AccountForm):
    """A new account."""

    makes_password = BooleanField(
        lazy_gettext("Make a password"),
        description=lazy_gettext("It is shown once, after the account was made."),
        default=True,
    )
    password = PasswordField(
        lazy_gettext("Or choose one"), render_kw={"autocomplete": "new-password", "maxlength": 1000}
    )

    def attempt(self, actor: Actor, now: datetime) -> Account | None:
        """Make the account; None when the form tells why not."""
        is_fine = self.check_name()
        password = "" if self.makes_password.data else self.password.data or ""
        broken = [] if self.makes_password.data else password_rules(passwords.policy(), password)
        for sentence in broken:
            self.refuse("password", sentence)
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
            return accounts.create_account(new, actor=actor, now=now)
        except AppError as refusal:
            self.take_refusal(refusal)
            return None


class ChangedAccountForm(AccountForm):
    """An account that exists."""

    def attempt(self, user_id: str, actor: Actor, now: datetime) -> bool:
        """Change the account; False when the form tells why not. Raises NotFound."""
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
            accounts.change_account(user_id, change, actor=actor, now=now)
        except AppError as refusal:
            if refusal.status == 404:
                raise
            self.take_refusal(refusal)
            return False
        return True


def password_rules(policy: PasswordPolicy, password: str) -> list[str]:
    """What is wrong with a password, in the reader's language and the order of the rules."""
    words = {
        "Cannot use": _("This is the documented first password. Choose another one."),
        "Password must be": ngettext("At least %(num)s character.", "At least %(num)s characters.", policy.min_length),
        "Password must contain at least one upp": _("An upper-case letter (A to Z)."),
        "Password must contain at least one low": _("A lower-case letter (a to z)."),
        "Password must contain at least one num": _("A digit (0 to 9)."),
    }
    return [
        next((told for beginning, told in words.items() if sentence.startswith(beginning)), sentence)
        for sentence in policy.find_violations(password)
    ]
