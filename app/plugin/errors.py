"""The one root of errors that people may read: an API answers them, a page shows them."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


class AppError(Exception):
    """Something went wrong that the caller can understand.

    `message` is shown to people and so holds no secret; `extra` is merged into the JSON answer
    beside `error` and `timestamp`, and `headers` into the answer's headers.
    """

    status = 400
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, message: str, /, status: int | None = None, **extra: Any) -> None:
        super().__init__(message)
        self.message = message
        self.status = status or self.status
        self.extra = extra


class NotFound(AppError):
    """What was asked for does not exist."""

    status = 404


class Conflict(AppError):
    """It exists already."""

    status = 409


class Forbidden(AppError):
    """The caller is known and may not do this."""

    status = 403


class Unauthorized(AppError):
    """The caller is not known."""

    status = 401


class Unavailable(AppError):
    """A part that is needed does not answer now."""

    status = 503


class TooLarge(AppError):
    """What was sent is, or unpacks to, more than is accepted."""

    status = 413


class TooManyRequests(AppError):
    """The caller asks more often than it may; `retry_after_s` becomes the header Retry-After."""

    status = 429

    def __init__(self, message: str, retry_after_s: float, **extra: Any) -> None:
        super().__init__(message, **extra)
        self.headers = {"Retry-After": str(max(1, math.ceil(retry_after_s)))}
