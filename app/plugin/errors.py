"""Errors that may be shown to users, in the API and on pages."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


class AppError(Exception):
    """An error that the caller can understand.

    `message` is shown to users and so contains no secret; `extra` is merged into the JSON response beside `error` and
    `timestamp`, and `headers` into its headers.
    """

    status = 400
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, message: str, /, status: int | None = None, **extra: Any) -> None:
        super().__init__(message)
        self.message = message
        self.status = status or self.status
        self.extra = extra


class NotFound(AppError):
    """The requested object does not exist."""

    status = 404


class Conflict(AppError):
    """The object exists already."""

    status = 409


class Forbidden(AppError):
    """The caller is known and may not do this."""

    status = 403


class Unauthorized(AppError):
    """The caller is not known."""

    status = 401


class Unavailable(AppError):
    """A required part does not respond now."""

    status = 503


class TooLarge(AppError):
    """The request is larger than accepted, possibly after decompression."""

    status = 413


class TooManyRequests(AppError):
    """The caller exceeds a rate limit; `retry_after_s` becomes the header Retry-After."""

    status = 429

    def __init__(self, message: str, retry_after_s: float, **extra: Any) -> None:
        super().__init__(message, **extra)
        self.headers = {"Retry-After": str(max(1, math.ceil(retry_after_s)))}
