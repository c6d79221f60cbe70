"""API of the allow lists of networks."""

from flask import Blueprint
from flask.typing import ResponseReturnValue
from marshmallow import RAISE, Schema, fields, validate

from app import runtime
from app.accounts import network_access
from app.accounts.network_access import ADMIN_ALLOWLIST, MOST_NETWORKS
from app.plugin import Access, ApiGroup, described
from app.web.forms import fields_in, fields_out
from app.web.http import Out, actor, client_address, json_body

# Schemas


class AllowListIn(Schema):
    """Changes to an allow list; omitted fields are kept. Networks are addresses or CIDR ranges."""

    class Meta:
        unknown = RAISE
        include = fields_in(ADMIN_ALLOWLIST.settings[:1])

    networks = fields.List(fields.String(validate=validate.Length(1, 100)), validate=validate.Length(max=MOST_NETWORKS))


class AllowListOut(Out):
    """An allow list in force; fixed fields are set by environment variables."""

    class Meta:
        include = fields_out(ADMIN_ALLOWLIST.settings[:1])

    zone = fields.String()
    networks = fields.List(fields.String())
    is_switch_fixed = fields.Boolean(data_key="enabledByEnvironment")
    are_networks_fixed = fields.Boolean(data_key="networksByEnvironment")


class AllowListsOut(Out):
    """Both allow lists, and the address of the client."""

    own_address = fields.String(data_key="ownAddress")
    lists = fields.List(fields.Nested(AllowListOut), data_key="allowLists")


# Views

bp = Blueprint("access", __name__, url_prefix="/access")


@bp.get("/allow-lists")
@described({200: AllowListsOut})
def index() -> ResponseReturnValue:
    """Get both allow lists and the address of the client."""
    return allow_lists()


@bp.patch("/allow-lists/<any(admin, external):zone>")
@described({200: AllowListsOut}, body=AllowListIn)
def update(zone: str) -> ResponseReturnValue:
    """Change an allow list; omitted fields are kept. Rejected if it would exclude the address of the client."""
    change = AllowListIn().load(json_body())
    network_access.change_list(
        network_access.Zone(zone), **change, own_address=client_address(), actor=actor(), now=runtime.now()
    )
    return allow_lists()


def allow_lists() -> ResponseReturnValue:
    """Return both lists and the address of the client, as both views answer."""
    lists = AllowListOut().dump(network_access.describe_lists(), many=True)
    return {"ownAddress": client_address(), "allowLists": lists}


group = ApiGroup(name="access", blueprint=bp, access=Access.ADMIN, summary="Allow lists of networks")
