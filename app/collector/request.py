"""The collecting user of the current request."""

from flask_login import current_user

from app.collector import batches
from app.collector.collecting import Caller
from app.web.http import actor, visible_server_ids


def caller() -> Caller:
    """Return the permissions of the user of this request."""
    return Caller(actor(), visible_server_ids(), may_change=current_user.is_admin)


def find_batch(batch_id: str) -> batches.Batch:
    """Return a collection that the user of this request may see. Raise Refused (404)."""
    return batches.batches_of_application().find(batch_id, reader_id=current_user.id, is_admin=current_user.is_admin)
