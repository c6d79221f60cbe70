"""Floor 0: all that a plugin may import. Kept small and stable; see `docs/plugins/`."""

from app.contracts.addresses import (
    ForbiddenAddress,
    check_host,
    check_url,
    guarded_connections,
    open_connection,
    validate_http_url,
    validate_one_line,
)
from app.contracts.api import ApiGroup, Guard, guarded, takes_bytes, visible_server_ids
from app.contracts.channel import Attachment, DeliveryError, HttpChannel, Message, NotificationChannel, Severity
from app.contracts.chart import ChartProvider, Combine, Run, Unit
from app.contracts.description import AnyOf, Content, described
from app.contracts.errors import AppError

__all__ = [
    "AnyOf",
    "ApiGroup",
    "AppError",
    "Attachment",
    "ChartProvider",
    "Combine",
    "Content",
    "DeliveryError",
    "ForbiddenAddress",
    "Guard",
    "HttpChannel",
    "Message",
    "NotificationChannel",
    "Run",
    "Severity",
    "Unit",
    "check_host",
    "check_url",
    "described",
    "guarded",
    "guarded_connections",
    "open_connection",
    "takes_bytes",
    "validate_http_url",
    "validate_one_line",
    "visible_server_ids",
]
