"""Badges for web pages and README files; there is none until an administrator makes one."""

from app.api.badges.views import bp
from app.contracts import ApiGroup, Guard

group = ApiGroup(
    name="badges", blueprint=bp, guard=Guard.OPEN, csrf=False, url_prefix="", summary="Badges that web pages show"
)
