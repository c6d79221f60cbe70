"""What to set in Duplicati so that reports come here, ready to be copied."""

from dataclasses import dataclass

from flask import request
from flask_babel import gettext as _

from app.services import configuration, deployment

# Two thirds of a log are events of the backend, two for each file that is moved. Without them the whole log, with its
# warnings, errors and versions, is a few kilobytes, and no limit of lines cuts the list of versions off its end.
LOG_OPTIONS = (
    "--send-http-log-level=Information",
    "--send-http-log-filter=-*BackendEvent*",
    "--send-http-max-log-lines=0",
)


@dataclass(frozen=True, slots=True)
class OptionSet:
    """Options for a range of Duplicati versions, as text for its box "Default options"."""

    name: str
    label: str
    options: tuple[str, ...]


def option_sets() -> list[OptionSet]:
    """The options for newer and for older versions of Duplicati, with our address in them."""
    address = upload_address()
    newer = (
        f"--send-http-json-urls={address}",
        *LOG_OPTIONS,
    )
    older = (
        f"--send-http-url={address}",
        "--send-http-result-output-format=Json",
        *LOG_OPTIONS,
    )
    return [
        OptionSet("newer", _("Duplicati 2.0.9.106 and later, 2.1, 2.2 …"), newer),
        OptionSet("older", _("Earlier versions"), older),
    ]


def upload_address() -> str:
    """Where reports are to be sent."""
    return f"{own_address()}/api/upload"


def own_address() -> str:
    """Where this installation is found: the public address where one is set, else the one in use now."""
    settings = deployment.settings()
    public_url = configuration.get("public_url") or settings.public_url
    return public_url.rstrip("/") if public_url else request.host_url.rstrip("/") + settings.base_path
