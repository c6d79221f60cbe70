"""Who did what: reading, export, clean-up."""

from app.api.audit.views import bp
from app.contracts import ApiGroup

group = ApiGroup(name="audit", blueprint=bp, summary="The audit log: list, export, clean-up, retention")
