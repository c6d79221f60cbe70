"""The rate limits of an application, in the memory of its process."""

from flask import current_app

from app.domain.rates import Limiter

EXTENSION = "duplistatus.rate_limits"


def limiter(name: str, per_minute: float, burst: int) -> Limiter:
    """Return the limiter of this name; the first who asks makes it."""
    limiters: dict[str, Limiter] = current_app.extensions.setdefault(EXTENSION, {})
    found = limiters.get(name)
    return found if found is not None else limiters.setdefault(name, Limiter(per_minute / 60, burst))
