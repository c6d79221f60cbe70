"""The one door for Duplicati's reports."""

from app.api.upload.views import bp
from app.contracts import ApiGroup, Guard

group = ApiGroup(
    name="upload",
    blueprint=bp,
    guard=Guard.OPEN,
    csrf=False,
    summary="Reports of Duplicati after each run",
    key_scope="upload",
)
