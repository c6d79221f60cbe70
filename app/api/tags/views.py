"""Views of the tags group."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from app.api.client import actor, json_body, visible_server_ids
from app.api.tags.schemas import TaggedOut, TagsIn, TagsOut, dump_tags
from app.contracts import Guard, described, guarded
from app.services import clock, history, tags

bp = Blueprint("tags", __name__)


@bp.get("/tags")
@described({200: TagsOut})
def index() -> ResponseReturnValue:
    """All tags, and which servers and jobs have them."""
    return dump_tags(history.overview(clock.now(), visible_server_ids()))


@bp.patch("/tags/<server_id>")
@guarded(Guard.ADMIN)
@described({200: TaggedOut}, body=TagsIn)
def update(server_id: str) -> ResponseReturnValue:
    """Put these tags and no others on a server, or on one of its jobs."""
    wanted = TagsIn().load(json_body())
    changed = tags.change_tags(server_id, **wanted, actor=actor(), now=clock.now())
    return {"serverId": server_id, "backupName": wanted["job_name"], "tags": changed}
