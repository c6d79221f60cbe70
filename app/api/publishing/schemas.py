"""Wire forms of badges and of the settings of metrics."""

from marshmallow import RAISE, Schema, fields, validate

from app.api.wire import Out
from app.domain.badges import LONGEST_LABEL


class BadgeIn(Schema):
    """A badge to make: of all servers, of one, or of one of its jobs. Without a slug it gets a secret one."""

    class Meta:
        unknown = RAISE

    slug = fields.String(load_default=None, allow_none=True)
    label = fields.String(load_default=None, allow_none=True, validate=validate.Length(1, LONGEST_LABEL))
    server_id = fields.String(data_key="serverId", load_default=None, allow_none=True)
    job_name = fields.String(data_key="backupName", load_default=None, allow_none=True)


class BadgeOut(Out):
    """A badge; its picture is at `/badge/<slug>.svg`."""

    slug = fields.String()
    label = fields.String()
    server_id = fields.String(data_key="serverId", allow_none=True)
    job_name = fields.String(data_key="backupName", allow_none=True)


class BadgesOut(Out):
    """All badges, oldest first."""

    badges = fields.List(fields.Nested(BadgeOut))


class MetricsIn(Schema):
    """Whether metrics are given out, and whether only for a key of scope `read`."""

    class Meta:
        unknown = RAISE

    is_enabled = fields.Boolean(required=True, data_key="enabled")
    needs_key = fields.Boolean(load_default=False, data_key="requiresKey")


class MetricsOut(Out):
    """Whether metrics are given out, and whether only for a key of scope `read`."""

    enabled = fields.Boolean()
    requires_key = fields.Boolean(data_key="requiresKey")
