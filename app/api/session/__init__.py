"""Anonymous sessions and CSRF tokens: what a script or a page fetches before it signs in."""

from app.api.session.views import bp
from app.contracts import ApiGroup, Guard

group = ApiGroup(name="session", blueprint=bp, guard=Guard.OPEN, csrf=False, summary="Sessions and CSRF tokens")
