"""What is taken in, and the uploads that were refused."""

from app.api.reception.views import bp
from app.contracts import ApiGroup, Guard

group = ApiGroup(name="reception", blueprint=bp, guard=Guard.ADMIN, summary="Refused uploads, and what is taken in")
