"""What the tab of the accounts shows: the list as it was asked for, and one account."""

from datetime import UTC, datetime

from flask import url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext

from app.models import User
from app.pages.settings.questions import Question
from app.pages.settings.sorted_lists import Column, ListQuery
from app.pages.settings.user_forms import ALL, CHOSEN, ChangedAccountForm
from app.services import accounts
from app.services.accounts import Account

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
    """The accounts that were asked for, in the order that was asked for."""
    found = accounts.list_accounts(search=query.search, limit=MOST_LISTED).accounts
    return query.ordered(found, COLUMNS)


def form_of(account: Account, now: datetime, *, is_sent: bool = True) -> ChangedAccountForm:
    """The form of an account, filled from what is stored, and with `is_sent` from the request where it sends one."""
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


def deletion_question(user: User) -> Question:
    """What to ask before an account is deleted."""
    sentences = [_("The account and its sessions are gone at once. What it did stays in the audit log.")]
    if user.is_admin:
        sentences.append(_("This account is an administrator."))
    return Question(
        title=_("Delete %(name)s?", name=user.username),
        sentences=sentences,
        button=_("Delete %(name)s", name=user.username),
        action=url_for("settings.delete_user", user_id=user.id),
        back=url_for("settings.show_user", user_id=user.id),
    )


def reset_question(user: User) -> Question:
    """What to ask before an account gets a new password."""
    return Question(
        title=_("Reset the password of %(name)s?", name=user.username),
        sentences=[
            _("A new password is made and shown to you once. The old one stops working, and all sessions end."),
            _("At the next sign-in a password of their own has to be chosen."),
        ],
        button=_("Reset the password"),
        action=url_for("settings.reset_password", user_id=user.id),
        back=url_for("settings.show_user", user_id=user.id),
        is_dangerous=False,
    )
