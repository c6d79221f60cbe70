"""Messages on their way, and what became of them."""

from app.api.deliveries.views import bp
from app.contracts import ApiGroup, Guard

group = ApiGroup(name="deliveries", blueprint=bp, guard=Guard.ADMIN, summary="Messages and what became of them")
