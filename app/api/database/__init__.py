"""The database as a whole: backup and restore."""

from app.api.database.views import bp
from app.contracts import ApiGroup, Guard

group = ApiGroup(name="database", blueprint=bp, guard=Guard.ADMIN, summary="Backup and restore of the database")
