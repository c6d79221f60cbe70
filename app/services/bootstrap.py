"""What a new database needs before it can serve, and what every start puts right."""

from datetime import datetime

from app.services import anonymous_sessions, channels, repairs, secrets, sessions, users
from app.settings import Settings


def prepare(settings: Settings, *, now: datetime) -> None:
    """Make the master key, the first administrator and the standard channels where they are missing."""
    secrets.prepare_key(settings.data_dir)
    users.ensure_admin(settings, now=now)
    channels.ensure_defaults(now=now)
    anonymous_sessions.ensure_key(now)
    sessions.purge_expired(now=now)
    repairs.finish_migration(now)
