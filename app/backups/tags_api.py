"""API group `tags`: tags of servers and jobs."""

from typing import Any

from flask import Blueprint
from flask.typing import ResponseReturnValue
from marshmallow import RAISE, Schema, fields

from app import runtime
from app.backups import overview, servers
from app.backups.overview import Overview
from app.plugin import Access, ApiGroup, described, guarded
from app.web.http import TEXTS, Out, actor, json_body, visible_server_ids

# Schemas


class TagsIn(Schema):
    """The tags to set on a server, or on the job `backupName`."""

    class Meta:
        unknown = RAISE

    job_name = fields.String(data_key="backupName", load_default=None, allow_none=True)
    texts = fields.List(fields.String(), data_key="tags", required=True)


class TaggedOut(Out):
    """The tags of a server, or of the job `backupName`."""

    server_id = fields.String(data_key="serverId")
    job_name = fields.String(data_key="backupName", allow_none=True)
    tags = fields.Raw(metadata=TEXTS)


class TagsOut(Out):
    """All tags in alphabetical order, with their servers and jobs."""

    tags = fields.Raw(metadata=TEXTS)
    tagged = fields.List(fields.Nested(TaggedOut))


def dump_tags(overview: Overview) -> dict[str, Any]:
    """Return the whole answer."""
    tagged: list[dict[str, Any]] = []
    for server in overview.servers:
        owners = [(None, server.tags), *((job.name, job.tags) for job in server.jobs)]
        tagged += [{"serverId": server.id, "backupName": name, "tags": list(tags)} for name, tags in owners if tags]
    found = {tag for entry in tagged for tag in entry["tags"]}
    return {"tags": sorted(found, key=str.casefold), "tagged": tagged}


# Tags group

bp = Blueprint("tags", __name__)


@bp.get("/tags")
@described({200: TagsOut})
def index() -> ResponseReturnValue:
    """List all tags with their servers and jobs."""
    return dump_tags(overview.overview(runtime.now(), visible_server_ids()))


@bp.patch("/tags/<server_id>")
@guarded(Access.ADMIN)
@described({200: TaggedOut}, body=TagsIn)
def update(server_id: str) -> ResponseReturnValue:
    """Replace the tags of a server or of one of its jobs."""
    wanted = TagsIn().load(json_body())
    changed = servers.change_tags(server_id, **wanted, actor=actor(), now=runtime.now())
    return {"serverId": server_id, "backupName": wanted["job_name"], "tags": changed}


group = ApiGroup(name="tags", blueprint=bp, access=Access.USER, summary="Tags of servers and jobs")
