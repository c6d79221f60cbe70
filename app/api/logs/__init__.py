"""What the program itself logs."""

from app.api.logs.views import bp
from app.contracts import ApiGroup, Guard

group = ApiGroup(name="logs", blueprint=bp, guard=Guard.ADMIN, summary="The application's log files")
