"""Settings: of jobs, mail, push, templates, tolerance and frequency."""

from app.api.configuration.views import bp
from app.contracts import ApiGroup

group = ApiGroup(name="configuration", blueprint=bp, summary="Settings of jobs, channels, templates and lateness")
