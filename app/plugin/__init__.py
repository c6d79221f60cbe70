"""Everything that plugins may import. Small and stable; see `docs/plugins/`."""

from app.plugin.api import Access, AnyOf, ApiGroup, Content, Guard, described, guarded, takes_bytes, visible_server_ids
from app.plugin.channel import Attachment, DeliveryError, HttpChannel, Message, NotificationChannel, Severity
from app.plugin.chart import ChartProvider, Combine, Run, Unit
from app.plugin.errors import AppError, ErrorText, Refused, declare_errors
from app.plugin.http import (
    ForbiddenAddress,
    check_host,
    check_url,
    guarded_connections,
    open_connection,
    validate_http_url,
    validate_one_line,
)
from app.plugin.marking import N_, NC_, NP_
from app.plugin.settings import PluginSettings, Setting

__all__ = [
    "NC_",
    "NP_",
    "N_",
    "Access",
    "AnyOf",
    "ApiGroup",
    "AppError",
    "Attachment",
    "ChartProvider",
    "Combine",
    "Content",
    "DeliveryError",
    "ErrorText",
    "ForbiddenAddress",
    "Guard",
    "HttpChannel",
    "Message",
    "NotificationChannel",
    "PluginSettings",
    "Refused",
    "Run",
    "Setting",
    "Severity",
    "Unit",
    "check_host",
    "check_url",
    "declare_errors",
    "described",
    "guarded",
    "guarded_connections",
    "open_connection",
    "takes_bytes",
    "validate_http_url",
    "validate_one_line",
    "visible_server_ids",
]
