"""Stored runs: when the newest were, fetching more, and deleting what is no longer wanted."""

from app.api.backups import collect_views  # noqa: F401 (adds its routes)
from app.api.backups.views import bp
from app.contracts import ApiGroup, Guard

group = ApiGroup(name="backups", blueprint=bp, guard=Guard.ADMIN, summary="Newest runs, collecting and deleting them")
