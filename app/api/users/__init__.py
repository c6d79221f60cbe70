"""Accounts, kept by administrators."""

from app.api.users.views import bp
from app.contracts import ApiGroup, Guard

group = ApiGroup(name="users", blueprint=bp, guard=Guard.ADMIN, summary="Accounts and what they may see")
