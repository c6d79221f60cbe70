"""How many test messages an account may send: each goes out at once, to people and to servers of others."""

from flask_login import current_user

from app.contracts.errors import TooManyRequests
from app.services import clock
from app.services.rate_limits import limiter

PER_MINUTE, BURST = 3, 5
ADMIN_PER_MINUTE, ADMIN_BURST = 60, 60


def count_trial() -> None:
    """Count one test message of the signed-in user. Raises TooManyRequests."""
    is_admin = current_user.is_admin
    rate = (ADMIN_PER_MINUTE, ADMIN_BURST) if is_admin else (PER_MINUTE, BURST)
    name = f"test messages of {'administrators' if is_admin else 'others'}"
    retry_after_s = limiter(name, *rate).allow(current_user.username, clock.now())
    if retry_after_s is not None:
        raise TooManyRequests("This account has sent many test messages, try again later", retry_after_s)
