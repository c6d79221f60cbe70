"""What widgets and scripts read without signing in: the summary and the newest runs of a server."""

from app.api.external.views import bp
from app.contracts import ApiGroup, Guard

group = ApiGroup(
    name="external",
    blueprint=bp,
    guard=Guard.OPEN,
    csrf=False,
    summary="Summary and newest runs, for widgets and scripts",
    key_scope="read",
)
