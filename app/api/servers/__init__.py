"""The machines that back up."""

from app.api.servers import change_views  # noqa: F401 (adds its routes)
from app.api.servers.views import bp
from app.contracts import ApiGroup

group = ApiGroup(name="servers", blueprint=bp, summary="Servers, their runs and details")
