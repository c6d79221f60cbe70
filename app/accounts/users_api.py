"""API of the accounts, for administrators."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, pre_load, validate

from app import runtime
from app.accounts import sessions, users
from app.accounts.models import User
from app.accounts.users import Account, AccountChange, AccountPage, NewAccount
from app.plugin import Access, ApiGroup, described
from app.web.http import DONE, SOMETIMES, DatabaseTime, Out, actor, json_body

# Schemas

PAGE_SIZE, MOST_ON_A_PAGE, LAST_PAGE = 50, 1000, 1_000_000
NAME_LENGTH, ID_LENGTH, MOST_SERVERS = 255, 255, 10_000


class Truth(fields.Boolean):
    """A boolean by JavaScript's rules.

    null, false, 0 and "" are false, everything else is true.
    """

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        return value not in (None, False, "")  # 0 equals False


class ExactTruth(fields.Boolean):
    """A boolean that only `true` sets."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        return value is True


def server_ids() -> fields.List[Any]:
    """Return a field for ids of servers."""
    return fields.List(
        fields.String(validate=validate.Length(max=ID_LENGTH)),
        data_key="serverIds",
        validate=validate.Length(max=MOST_SERVERS),
    )


class NewUserIn(Schema):
    """An account to create. A list of servers without `allServers` limits it to these servers."""

    class Meta:
        unknown = EXCLUDE

    username = fields.String(required=True)
    password = fields.String(load_default="", allow_none=True)
    is_admin = Truth(data_key="isAdmin", load_default=False, allow_none=False)
    must_change_password = Truth(data_key="requirePasswordChange", load_default=True)
    sees_all_servers = fields.Boolean(data_key="allServers")
    server_ids = server_ids()

    @pre_load
    def check(self, body: Mapping[str, Any], **_options: Any) -> Mapping[str, Any]:
        """Require a name."""
        username = body.get("username")
        if not isinstance(username, str) or not username.strip():
            raise ValidationError("Username is required")
        return nulls_as_no(body)

    @post_load
    def make(self, values: dict[str, Any], **_options: Any) -> NewAccount:
        """Return the account as a domain value."""
        values["password"] = values["password"] or ""
        return NewAccount(**limited_to_list(values))


class UserChangeIn(Schema):
    """Changes to an account."""

    class Meta:
        unknown = EXCLUDE

    username = fields.String(allow_none=True, validate=validate.Length(max=NAME_LENGTH))
    is_admin = Truth(data_key="isAdmin")
    must_change_password = Truth(data_key="requirePasswordChange")
    # wire: only `true` counts
    resets_password = ExactTruth(data_key="resetPassword", load_default=False)
    sees_all_servers = fields.Boolean(data_key="allServers")
    server_ids = server_ids()

    @pre_load
    def take_nulls(self, body: Mapping[str, Any], **_options: Any) -> Mapping[str, Any]:
        """Treat null as false."""
        return nulls_as_no(body)

    @post_load
    def make(self, values: dict[str, Any], **_options: Any) -> AccountChange:
        """Return the change as a domain value."""
        return AccountChange(**limited_to_list(values))


def nulls_as_no(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body with false in place of null for booleans."""
    claims = ("isAdmin", "requirePasswordChange", "resetPassword")
    return {name: False if name in claims and value is None else value for name, value in body.items()}


def limited_to_list(values: dict[str, Any]) -> dict[str, Any]:
    """Limit the account to a list of servers that is sent without `allServers`."""
    if "server_ids" not in values:
        return values
    return {"sees_all_servers": False, **values, "server_ids": frozenset(values["server_ids"])}


@dataclass(frozen=True, slots=True)
class UsersQuery:
    """Which accounts to list."""

    page: int = 1
    limit: int = PAGE_SIZE
    search: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Self:
        """Read `page` (from 1), `limit` (1 to 1,000) and `search`.

        An invalid number counts as absent.
        """
        page = min(max(_whole_number(query, "page", 1), 1), LAST_PAGE)
        limit = min(max(_whole_number(query, "limit", PAGE_SIZE), 1), MOST_ON_A_PAGE)
        return cls(page, limit, query.get("search", ""))

    @property
    def window(self) -> dict[str, Any]:
        """Return the arguments of the service."""
        return {"search": self.search, "offset": (self.page - 1) * self.limit, "limit": self.limit}


class UserOut(Out):
    """An account after it was created or changed."""

    id = fields.String()
    username = fields.String()
    is_admin = fields.Boolean(data_key="isAdmin")
    must_change_password = fields.Boolean(data_key="mustChangePassword")
    all_servers = fields.Boolean(data_key="allServers", attribute="sees_all_servers")


class ListedUserOut(UserOut):
    """An account in the list."""

    created_at = DatabaseTime(data_key="createdAt")
    updated_at = DatabaseTime(data_key="updatedAt")
    last_login_at = DatabaseTime(data_key="lastLoginAt")
    last_login_ip = fields.String(data_key="lastLoginIp", allow_none=True)
    failed_login_attempts = fields.Integer(data_key="failedLoginAttempts")
    locked_until = DatabaseTime(data_key="lockedUntil")


class AccountOut(UserOut):
    """An account with the servers that it can see."""

    server_ids = fields.List(fields.String(), data_key="serverIds")


class ChangedAccountOut(Out):
    """An account, with its temporary password if one was generated."""

    user = fields.Nested(AccountOut)
    temporary_password = fields.String(data_key="temporaryPassword", metadata=SOMETIMES)


class AccountInListOut(ListedUserOut):
    """An account in the list, with its servers and whether it is locked now."""

    is_locked = fields.Boolean(data_key="isLocked")
    server_ids = fields.List(fields.String(), data_key="serverIds")


class PlaceOut(Out):
    """Position of a page in the list."""

    page = fields.Integer()
    limit = fields.Integer()
    total = fields.Integer()
    page_count = fields.Integer(data_key="totalPages")


class AccountsOut(Out):
    """A page of accounts."""

    users = fields.List(fields.Nested(AccountInListOut))
    position = fields.Nested(PlaceOut, data_key="pagination")


USERS_QUERY: dict[str, fields.Field[Any]] = {
    "page": fields.Integer(metadata={"minimum": 1}),
    "limit": fields.Integer(metadata={"minimum": 1, "maximum": MOST_ON_A_PAGE}),
    "search": fields.String(),
}

_user_out, _listed_out = UserOut(), ListedUserOut()


def dump_account(account: Account) -> dict[str, Any]:
    """Return an account, with its temporary password if it was just generated."""
    result: dict[str, Any] = {"user": _user_out.dump(account.user) | {"serverIds": account.server_ids}}
    if account.temporary_password is not None:
        result["temporaryPassword"] = account.temporary_password
    return result


def dump_page(found: AccountPage, query: UsersQuery, now: datetime) -> dict[str, Any]:
    """Return a page of accounts."""
    pages = -(-found.total // query.limit)
    return {
        "users": [_dump_listed(account.user, account.server_ids, now) for account in found.accounts],
        "pagination": {"page": query.page, "limit": query.limit, "total": found.total, "totalPages": pages},
    }


def _dump_listed(user: User, ids: tuple[str, ...], now: datetime) -> dict[str, Any]:
    return _listed_out.dump(user) | {"isLocked": user.is_locked(now), "serverIds": ids}


def _whole_number(query: Mapping[str, str], name: str, standard: int) -> int:
    try:
        return int(query.get(name) or standard)
    except ValueError:
        return standard


# Views

bp = Blueprint("users", __name__, url_prefix="/users")


@bp.get("")
@described({200: AccountsOut}, query=USERS_QUERY)
def index() -> ResponseReturnValue:
    """List accounts by name, in pages; `search` is part of a name."""
    query = UsersQuery.read(request.args)
    return dump_page(users.list_accounts(**query.window), query, runtime.now())


@bp.post("")
@described({201: ChangedAccountOut}, body=NewUserIn, errors=(404, 409))
def create() -> ResponseReturnValue:
    """Create an account. Without a password, a temporary one is generated and shown once."""
    return dump_account(users.create_account(NewUserIn().load(json_body()), actor=actor(), now=runtime.now())), 201


@bp.patch("/<user_id>")
@described({200: ChangedAccountOut}, body=UserChangeIn, errors=(409,))
def update(user_id: str) -> ResponseReturnValue:
    """Change name, role, password or servers of an account. The last administrator cannot be demoted."""
    change, session_hash = UserChangeIn().load(json_body()), sessions.current().id_hash
    return dump_account(
        users.change_account(user_id, change, actor=actor(), now=runtime.now(), kept_session=session_hash)
    )


@bp.post("/<user_id>/unlock")
@described({200: DONE})
def unlock(user_id: str) -> ResponseReturnValue:
    """Unlock an account that was locked after too many wrong passwords."""
    users.unlock_account(user_id, actor=actor(), now=runtime.now())
    return {"success": True, "message": "User unlocked successfully"}


@bp.delete("/<user_id>")
@described({200: DONE}, errors=(400,))
def delete(user_id: str) -> ResponseReturnValue:
    """Delete an account and its sessions; not your own, and not the last administrator."""
    users.delete_account(user_id, actor=actor(), now=runtime.now())
    return {"success": True, "message": "User deleted successfully"}


group = ApiGroup(name="users", blueprint=bp, access=Access.ADMIN, summary="Accounts and their permissions")
