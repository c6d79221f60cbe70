"""Views of the backups group that ask Duplicati servers, at once or in the background."""

from io import BytesIO

from flask.typing import ResponseReturnValue
from flask_login import current_user

from app.api.answers import saved_file
from app.api.backups.collecting import (
    COLLECTED,
    STARTED,
    SYNCHRONISED,
    BatchOut,
    CollectIn,
    CollectionIn,
    OrderIn,
    PullIn,
    PullOut,
    RunIn,
    dump_batch,
    dump_collected,
    dump_pull,
    dump_started,
    dump_synchronised,
)
from app.api.backups.views import bp
from app.api.client import actor, json_body, visible_server_ids
from app.api.wire import MESSAGE
from app.contracts import AnyOf, Content, Guard, described, guarded
from app.contracts.errors import NotFound
from app.services import clock, servers
from app.services.collect import batches, collecting, control, pulling
from app.services.collect.collecting import Caller


@bp.post("/collect")
@guarded(Guard.LOGIN)
@described({200: AnyOf(COLLECTED, MESSAGE)}, body=CollectIn, errors=(403, 404))
def collect() -> ResponseReturnValue:
    """Ask a Duplicati server for its schedules and logs, and store the runs that are new.

    With a `serverId` alone, address and password are those that are stored. Nobody is notified of these runs.
    """
    order = CollectIn().load(json_body())
    return dump_collected(collecting.collect(order, caller=caller(), now=clock.now()))


@bp.post("/sync-schedule")
@guarded(Guard.LOGIN)
@described({200: SYNCHRONISED}, body=OrderIn, errors=(403, 404))
def sync_schedule() -> ResponseReturnValue:
    """Ask a Duplicati server for the schedules of its jobs, and plan them by that; nothing else is stored."""
    order = OrderIn().load(json_body())
    return dump_synchronised(collecting.synchronise(order, caller=caller(), now=clock.now()))


@bp.post("/collections")
@guarded(Guard.LOGIN)
@described({202: BatchOut}, body=CollectionIn, errors=(409,))
def start_collection() -> ResponseReturnValue:
    """Begin to ask several Duplicati servers in the background: those named, or all that can be asked.

    The answer comes at once; ask for the collection by its id until `isDone`. It is forgotten half an hour later.
    """
    wanted, asking = CollectionIn().load(json_body()), caller()
    orders = batches.orders_for_all(asking.visible_server_ids) if wanted["is_for_all"] else wanted["orders"]
    return dump_batch(batches.of_application().start(orders, caller=asking, now=clock.now())), 202


@bp.get("/collections/<batch_id>")
@guarded(Guard.LOGIN)
@described({200: BatchOut})
def show_collection(batch_id: str) -> ResponseReturnValue:
    """How far a collection is, and what came of each of its servers; for whoever began it, and administrators."""
    return dump_batch(find_batch(batch_id))


@bp.get("/collections/<batch_id>/<int:number>/json")
@guarded(Guard.LOGIN)
@described({200: Content("application/json", shape={})})
def show_document(batch_id: str, number: int) -> ResponseReturnValue:
    """All that one server of a collection gave, without secrets, if that was asked for with `downloadJson`."""
    batch = find_batch(batch_id)
    found = next((item.collected for item in batch.items if item.number == number), None)
    if found is None or found.document is None:
        raise NotFound("Nothing was kept of this server")
    name = f"{found.server_name}_collected_{batch.began_at:%Y-%m-%dT%H-%M-%S}.json"
    return saved_file(BytesIO(found.document.encode()), name, "application/json")


@bp.get("/collect/<server_id>")
@guarded(Guard.LOGIN)
@described({200: PullOut})
def show_pull(server_id: str) -> ResponseReturnValue:
    """How often a server is asked by itself, when it was, and why not."""
    return dump_pull(servers.find_by_id(server_id, visible_server_ids()))


@bp.patch("/collect/<server_id>")
@described({200: PullOut}, body=PullIn)
def change_pull(server_id: str) -> ResponseReturnValue:
    """Choose how often a server is asked by itself, and whether its certificate is checked."""
    return dump_pull(pulling.choose(server_id, **PullIn().load(json_body()), actor=actor(), now=clock.now()))


@bp.post("/run")
@described({200: STARTED}, body=RunIn, errors=(404,))
def run() -> ResponseReturnValue:
    """Have a Duplicati server run one of its jobs now, with the address and the password that are stored.

    Only its start is waited for: how it ended comes with its report.
    """
    return dump_started(control.start_job(**RunIn().load(json_body()), actor=actor(), now=clock.now()))


def caller() -> Caller:
    """On whose behalf servers are asked in this request."""
    return Caller(actor(), visible_server_ids(), may_change=current_user.is_admin)


def find_batch(batch_id: str) -> batches.Batch:
    """A collection that the person of this request may see. Raises NotFound."""
    return batches.of_application().find(batch_id, reader_id=current_user.id, is_admin=current_user.is_admin)
