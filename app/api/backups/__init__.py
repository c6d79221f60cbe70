"""Stored runs: when the newest were, and deleting what is no longer wanted."""

from app.api.backups.views import bp
from app.contracts import ApiGroup, Guard

group = ApiGroup(name="backups", blueprint=bp, guard=Guard.ADMIN, summary="Newest runs, and deleting stored ones")
