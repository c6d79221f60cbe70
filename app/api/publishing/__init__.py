"""What is shown to others: badges and metrics."""

from app.api.publishing.views import bp
from app.contracts import ApiGroup, Guard

group = ApiGroup(name="publishing", blueprint=bp, guard=Guard.ADMIN, summary="Which badges and metrics there are")
