"""On whose behalf Duplicati servers are asked in a request."""

from flask_login import current_user

from app.collector import rounds
from app.collector.collecting import Caller
from app.web.request import actor, visible_server_ids


def caller() -> Caller:
    """On whose behalf servers are asked in this request."""
    return Caller(actor(), visible_server_ids(), may_change=current_user.is_admin)


def find_batch(batch_id: str) -> rounds.Batch:
    """A collection that the person of this request may see. Raises NotFound."""
    return rounds.batches_of_application().find(batch_id, reader_id=current_user.id, is_admin=current_user.is_admin)
