"""How many test messages an account may send: each goes out at once, to people and to servers of others."""

from flask import current_app
from flask_login import current_user

from app.contracts.errors import TooManyRequests
from app.domain.rates import Limiter
from app.services import clock

PER_MINUTE, BURST = 3, 5
ADMIN_PER_MINUTE, ADMIN_BURST = 60, 60
RATES = "duplistatus.trial_rates"


def count_trial() -> None:
    """Count one test message of the signed-in user. Raises TooManyRequests."""
    rates: tuple[Limiter, Limiter] = current_app.extensions.setdefault(
        RATES, (Limiter(PER_MINUTE / 60, BURST), Limiter(ADMIN_PER_MINUTE / 60, ADMIN_BURST))
    )
    retry_after_s = rates[current_user.is_admin].allow(current_user.username, clock.now())
    if retry_after_s is not None:
        raise TooManyRequests("This account has sent many test messages, try again later", retry_after_s)
