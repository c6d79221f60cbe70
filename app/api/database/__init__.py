"""The database as a whole: backup and restore, copies, what is kept, and bringing an old installation along."""

from app.api.database import copy_views, import_views, key_views, retention_views  # noqa: F401 (they add their routes)
from app.api.database.views import bp
from app.contracts import ApiGroup, Guard

group = ApiGroup(name="database", blueprint=bp, guard=Guard.ADMIN, summary="Backup, restore, retention and import")
