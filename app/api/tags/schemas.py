"""Wire forms of tags."""

from typing import Any

from marshmallow import RAISE, Schema, fields

from app.api.wire import TEXTS, Out
from app.services.history import Overview


class TagsIn(Schema):
    """The tags that a server, or with `backupName` one of its jobs, is to have."""

    class Meta:
        unknown = RAISE

    job_name = fields.String(data_key="backupName", load_default=None, allow_none=True)
    texts = fields.List(fields.String(), data_key="tags", required=True)


class TaggedOut(Out):
    """The tags of a server, or with `backupName` of one of its jobs."""

    server_id = fields.String(data_key="serverId")
    job_name = fields.String(data_key="backupName", allow_none=True)
    tags = fields.Raw(metadata=TEXTS)


class TagsOut(Out):
    """All tags in alphabetical order, and what has which."""

    tags = fields.Raw(metadata=TEXTS)
    tagged = fields.List(fields.Nested(TaggedOut))


def dump_tags(overview: Overview) -> dict[str, Any]:
    """The whole answer."""
    tagged: list[dict[str, Any]] = []
    for server in overview.servers:
        owners = [(None, server.tags), *((job.name, job.tags) for job in server.jobs)]
        tagged += [{"serverId": server.id, "backupName": name, "tags": list(tags)} for name, tags in owners if tags]
    found = {tag for entry in tagged for tag in entry["tags"]}
    return {"tags": sorted(found, key=str.casefold), "tagged": tagged}
