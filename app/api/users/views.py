"""Views of the users group."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from app.api.client import actor, json_body
from app.api.users.schemas import (
    USERS_QUERY,
    AccountsOut,
    ChangedAccountOut,
    NewUserIn,
    UserChangeIn,
    UsersQuery,
    dump_account,
    dump_page,
)
from app.api.wire import (
    DONE,
)
from app.contracts import (
    described,
)
from app.services import accounts, clock, sessions

bp = Blueprint("users", __name__, url_prefix="/users")


@bp.get("")
@described({200: AccountsOut}, query=USERS_QUERY)
def index() -> ResponseReturnValue:
    """Accounts by name, in pages; `search` is part of a name."""
    query = UsersQuery.read(request.args)
    return dump_page(accounts.list_accounts(**query.window), query, clock.now())


@bp.post("")
@described({201: ChangedAccountOut}, body=NewUserIn, errors=(404, 409))
def create() -> ResponseReturnValue:
    """Make an account; without a password it gets a temporary one, which is shown once."""
    return dump_account(accounts.create_account(NewUserIn().load(json_body()), actor=actor(), now=clock.now())), 201


@bp.patch("/<user_id>")
@described({200: ChangedAccountOut}, body=UserChangeIn, errors=(409,))
def update(user_id: str) -> ResponseReturnValue:
    """Change name, role, password or servers of an account. The last administrator stays one."""
    change, kept = UserChangeIn().load(json_body()), sessions.current().id_hash
    return dump_account(accounts.change_account(user_id, change, actor=actor(), now=clock.now(), kept_session=kept))


@bp.post("/<user_id>/unlock")
@described({200: DONE})
def unlock(user_id: str) -> ResponseReturnValue:
    """Open an account that too many wrong passwords have locked, before its time is over."""
    accounts.unlock_account(user_id, actor=actor(), now=clock.now())
    return {"success": True, "message": "User unlocked successfully"}


@bp.delete("/<user_id>")
@described({200: DONE}, errors=(400,))
def delete(user_id: str) -> ResponseReturnValue:
    """Delete an account with its sessions; not one's own, and not the last administrator's."""
    accounts.delete_account(user_id, actor=actor(), now=clock.now())
    return {"success": True, "message": "User deleted successfully"}
