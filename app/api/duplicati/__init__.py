"""Which versions of Duplicati are the newest."""

from app.api.duplicati.views import bp
from app.contracts import ApiGroup, Guard

group = ApiGroup(name="duplicati", blueprint=bp, guard=Guard.ADMIN, summary="Newest versions of Duplicati")
