"""The description of the API by itself, for programs."""

from app.api.openapi.views import bp
from app.contracts import ApiGroup, Guard

# Open, since the document of an open program holds no secret, and tools that read it know no sessions.
group = ApiGroup(name="openapi", blueprint=bp, guard=Guard.OPEN, csrf=False, summary="This description")
