"""Whether this program itself is well."""

from app.api.monitoring.views import bp
from app.contracts import ApiGroup, Guard

group = ApiGroup(name="monitoring", blueprint=bp, guard=Guard.OPEN, csrf=False, summary="Health of the service")
