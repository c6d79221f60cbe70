"""Views of the access group."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from app.api.access.schemas import AllowListIn, AllowListOut, AllowListsOut
from app.api.client import actor, client_address, json_body
from app.contracts import described
from app.services import clock, network_access

bp = Blueprint("access", __name__, url_prefix="/access")


@bp.get("/allow-lists")
@described({200: AllowListsOut})
def index() -> ResponseReturnValue:
    """Both allow lists as they are in force, and the address that asks."""
    return allow_lists()


@bp.patch("/allow-lists/<any(admin, external):zone>")
@described({200: AllowListsOut}, body=AllowListIn)
def update(zone: str) -> ResponseReturnValue:
    """Change an allow list; what is left out stays. Refused when it would shut out the address that asks."""
    change = AllowListIn().load(json_body())
    network_access.change_list(
        network_access.Zone(zone), **change, own_address=client_address(), actor=actor(), now=clock.now()
    )
    return allow_lists()


def allow_lists() -> ResponseReturnValue:
    """What both views answer."""
    lists = AllowListOut().dump(network_access.describe_lists(), many=True)
    return {"ownAddress": client_address(), "allowLists": lists}
