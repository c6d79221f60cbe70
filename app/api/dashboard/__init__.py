"""Everything that a dashboard shows, in one answer."""

from app.api.dashboard.views import bp
from app.contracts import ApiGroup

group = ApiGroup(name="dashboard", blueprint=bp, summary="Servers, jobs and totals for a dashboard")
