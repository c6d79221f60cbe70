"""Signing in and out, and passwords."""

from app.api.auth.views import bp
from app.contracts import ApiGroup, Guard

group = ApiGroup(name="auth", blueprint=bp, guard=Guard.SESSION, summary="Signing in and out, passwords")
