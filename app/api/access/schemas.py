"""Wire forms of allow lists."""

from marshmallow import RAISE, Schema, fields, validate

from app.api.wire import Out
from app.services.declarations import MOST_NETWORKS


class AllowListIn(Schema):
    """What to change of an allow list; what is left out stays. Networks are addresses or CIDR ranges."""

    class Meta:
        unknown = RAISE

    is_enabled = fields.Boolean(data_key="enabled")
    networks = fields.List(fields.String(validate=validate.Length(1, 100)), validate=validate.Length(max=MOST_NETWORKS))


class AllowListOut(Out):
    """An allow list as it is in force; what is fixed comes from the environment."""

    zone = fields.String()
    is_enabled = fields.Boolean(data_key="enabled")
    networks = fields.List(fields.String())
    is_switch_fixed = fields.Boolean(data_key="enabledByEnvironment")
    are_networks_fixed = fields.Boolean(data_key="networksByEnvironment")


class AllowListsOut(Out):
    """Both allow lists, and the address that asks."""

    own_address = fields.String(data_key="ownAddress")
    lists = fields.List(fields.Nested(AllowListOut), data_key="allowLists")
