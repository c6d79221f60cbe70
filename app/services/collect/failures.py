"""Why a Duplicati server could not be asked: one word for programs, one sentence for people."""

import errno
import socket
import ssl
from collections.abc import Iterable, Iterator
from enum import StrEnum

import requests
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, ReadTimeoutError

from app.contracts.addresses import ForbiddenAddress
from app.contracts.errors import AppError


class Reason(StrEnum):
    """What was in the way."""

    FORBIDDEN = "FORBIDDEN_ADDRESS"
    UNKNOWN_HOST = "UNKNOWN_HOST"
    UNREACHABLE = "UNREACHABLE"
    REFUSED = "REFUSED"
    TIMEOUT = "TIMEOUT"
    CERTIFICATE = "CERTIFICATE"
    NO_TLS = "NO_TLS"
    BROKEN_OFF = "BROKEN_OFF"
    REDIRECT = "REDIRECT"
    NOT_DUPLICATI = "NOT_DUPLICATI"
    LOGIN = "LOGIN"
    NO_TOKEN = "NO_TOKEN"  # noqa: S105 (a word for a reason)
    ANSWER = "ANSWER"
    TOO_LARGE = "TOO_LARGE"
    NO_JOB = "NO_JOB"
    HOST_NAME = "HOST_NAME"


# Which of them say that a server does not answer. It is not asked for fifty jobs then, one time limit after the other.
SILENT = frozenset({Reason.TIMEOUT, Reason.UNREACHABLE, Reason.REFUSED})
SILENCES_ALLOWED = 2
# Which of them say that another scheme might do; the others say that nobody is there.
SOMEBODY_ANSWERS = frozenset({Reason.NO_TLS, Reason.BROKEN_OFF, Reason.NOT_DUPLICATI, Reason.REDIRECT})
# What OpenSSL says of a certificate by number (X509_V_ERR_…), and how people are told; anything else is not trusted.
CERTIFICATE_SENTENCES = {
    9: "The certificate is not good yet; perhaps a clock is wrong",
    10: "The certificate has expired",
    62: "The certificate is one for another host name",
    64: "The certificate is one for another host name",
}
NOT_TRUSTED = "The certificate is not trusted, as is usual for one that a server made itself"
UNREACHABLE_ERRORS = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN})


class CollectFailure(AppError):
    """A Duplicati server could not be asked, or gave no usable answer. The text holds no secret."""

    status = 500  # wire: the reference answers every cause with it

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence, errorCode=reason.value)
        self.reason = reason


def host_name_refused(host: str) -> str:
    """Return the sentence for a Duplicati that takes neither the name nor the address of its machine."""
    return (
        f"This Duplicati refuses the host name {host}: allow it with --webservice-allowed-hostnames "
        "(DUPLICATI__WEBSERVICE_ALLOWED_HOSTNAMES), or use its IP address"
    )


def explain(error: Exception, timeout_s: float) -> tuple[Reason, str]:
    """The reason and the sentence for what `requests` raised."""
    causes = list(_chain(error))
    for kind, reason, sentence in (
        (ForbiddenAddress, Reason.FORBIDDEN, str(error)),
        (NameResolutionError | socket.gaierror, Reason.UNKNOWN_HOST, "The host name is not known"),
        (ssl.SSLCertVerificationError, Reason.CERTIFICATE, _say_of_certificate(causes)),
        (ssl.SSLError, Reason.NO_TLS, "No encrypted connection came about; perhaps the server speaks http"),
        (ConnectionRefusedError, Reason.REFUSED, "The connection was refused; nothing listens at this port"),
        (
            requests.Timeout | ConnectTimeoutError | ReadTimeoutError | TimeoutError,
            Reason.TIMEOUT,
            f"No answer came within {timeout_s:g} seconds",
        ),
    ):
        if any(isinstance(cause, kind) for cause in causes):
            return reason, sentence
    if any(isinstance(cause, OSError) and cause.errno in UNREACHABLE_ERRORS for cause in causes):
        return Reason.UNREACHABLE, "The host cannot be reached from here"
    return Reason.BROKEN_OFF, "The connection was broken off"


def _say_of_certificate(causes: Iterable[BaseException]) -> str:
    codes = (getattr(cause, "verify_code", None) for cause in causes)
    return next((CERTIFICATE_SENTENCES[code] for code in codes if code in CERTIFICATE_SENTENCES), NOT_TRUSTED)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what led to it: libraries wrap one into another, as cause, as reason or as an argument."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        found = waiting.pop()
        if not isinstance(found, BaseException) or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        waiting += [found.__cause__, found.__context__, getattr(found, "reason", None), *found.args]
