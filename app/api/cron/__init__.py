"""The scheduler: when it looks for late jobs, and its controls."""

from app.api.cron.views import bp
from app.contracts import ApiGroup

group = ApiGroup(name="cron", blueprint=bp, summary="Interval of the overdue check, and scheduled tasks")
