"""The root of all refusals: an API answers them as JSON, a page shows them in the language of its reader."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ErrorText:
    """What an error code means: the English sentence of the API and the logs, the status, and the text for pages.

    Texts have placeholders such as `%(name)s` for the parameters of the refusal, and `%(field)s` for the name of its
    field in the API. `page` is a text marked for translation, or its singular and plural for the parameter `num`; blank
    if pages show `sentence`, which is then marked instead. `wire` is the `errorCode` of the API if that is prescribed,
    `wire_field` the name of the field if that is not the Python name in camel case.
    """

    sentence: str
    status: int = 400
    page: str | tuple[str, str] = ""
    wire: str = ""
    wire_field: str = ""


_texts: dict[str, ErrorText] = {}


def declare_errors(texts: Mapping[str, ErrorText]) -> None:
    """Register error codes. Raise ValueError for a code that has another text already."""
    for code, text in texts.items():
        if _texts.setdefault(code, text) != text:
            raise ValueError(f"the error code {code} is declared twice")


class Refused(Exception):
    """Something is not possible, for a reason that the caller can understand.

    `code` is a declared error code, `field` the Python name of the field that is wrong, `params` what the text of the
    code needs: values, other refusals, or a list of refusals. `body` is merged into the JSON of the API, and
    `retry_after_s` becomes the header Retry-After. People read the texts, so no parameter is a secret.
    """

    def __init__(
        self,
        code: str,
        /,
        field: str | None = None,
        status: int | None = None,
        *,
        body: Mapping[str, Any] | None = None,
        retry_after_s: float | None = None,
        **params: Any,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.field = field
        self.params = params
        self.extra = dict(body or {})
        self.headers: Mapping[str, str] = {}
        if retry_after_s is not None:
            self.headers = {"Retry-After": str(max(1, math.ceil(retry_after_s)))}
        self.status = status or self.text.status

    def __str__(self) -> str:
        """Return the English sentence."""
        return self.message

    @property
    def text(self) -> ErrorText:
        """The text of the code; the code itself if nobody declared it."""
        return _texts.get(self.code) or ErrorText(self.code.replace("%", "%%"))

    @property
    def is_declared(self) -> bool:
        """Whether the code has a text."""
        return self.code in _texts

    @property
    def message(self) -> str:
        """The English sentence, for the API, the logs and the shell."""
        params = {name: _english(value) for name, value in self.params.items()}
        return self.text.sentence % {"field": self.wire_field, **params}

    @property
    def wire_field(self) -> str:
        """The name of the field in the API; blank for none."""
        first, *others = (self.field or "").split("_")
        return self.text.wire_field or first + "".join(map(str.capitalize, others))

    @property
    def error_code(self) -> str:
        """The code for programs, as the API writes it."""
        return self.text.wire or self.code.upper()


def _english(value: Any) -> Any:
    if isinstance(value, Refused):
        return value.message
    if isinstance(value, Iterable) and not isinstance(value, str):
        return ". ".join(str(_english(item)) for item in value)
    return value


class AppError(Refused):
    """Deprecated: a refusal with an English sentence in place of a code. Use `Refused`.

    `extra` is merged into the JSON of the API.
    """

    usual_status = 400

    def __init__(self, message: str, /, status: int | None = None, **extra: Any) -> None:
        super().__init__(message, extra.get("field"), status or self.usual_status, body=extra)

    @property
    def text(self) -> ErrorText:
        """The sentence, which has no code."""
        return ErrorText(self.code.replace("%", "%%"))

    @property
    def error_code(self) -> str:
        """There is none."""
        return ""


class NotFound(AppError):
    """Deprecated: what was asked for does not exist."""

    usual_status = 404


class Conflict(AppError):
    """Deprecated: it exists already."""

    usual_status = 409


class Forbidden(AppError):
    """Deprecated: the caller is known and may not do this."""

    usual_status = 403


class Unauthorized(AppError):
    """Deprecated: the caller is not known."""

    usual_status = 401


class Unavailable(AppError):
    """Deprecated: a part that is needed does not answer now."""

    usual_status = 503


class TooLarge(AppError):
    """Deprecated: what was sent is, or unpacks to, more than is accepted."""

    usual_status = 413


class TooManyRequests(AppError):
    """Deprecated: the caller asks more often than it may; `retry_after_s` becomes the header Retry-After."""

    usual_status = 429

    def __init__(self, message: str, retry_after_s: float, **extra: Any) -> None:
        super().__init__(message, **extra)
        self.headers = {"Retry-After": str(max(1, math.ceil(retry_after_s)))}
