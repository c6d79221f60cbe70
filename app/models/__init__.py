"""Floor 2: tables, one noun a file. Importing this package makes all of them known to the metadata."""

from app.models.access import ApiKey, ServerAccess
from app.models.audit_log import AuditEntry
from app.models.channels import Channel
from app.models.deliveries import Delivery, DeliveryState, Urgency
from app.models.jobs import Job
from app.models.rejected_reports import RejectedReport
from app.models.runs import JobDay, Run, RunLog
from app.models.scheduler import Lease, Task
from app.models.servers import Server
from app.models.sessions import Session
from app.models.settings import Setting
from app.models.sign_in_networks import SignInNetwork
from app.models.users import User, Visitor

__all__ = [
    "ApiKey",
    "AuditEntry",
    "Channel",
    "Delivery",
    "DeliveryState",
    "Job",
    "JobDay",
    "Lease",
    "RejectedReport",
    "Run",
    "RunLog",
    "Server",
    "ServerAccess",
    "Session",
    "Setting",
    "SignInNetwork",
    "Task",
    "Urgency",
    "User",
    "Visitor",
]
