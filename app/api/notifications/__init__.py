"""Test messages, and the overdue check by hand."""

from app.api.notifications.views import bp
from app.contracts import ApiGroup

group = ApiGroup(name="notifications", blueprint=bp, summary="Test messages and the overdue check")
