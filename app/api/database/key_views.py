"""Views of the database group about the key file that opens stored secrets."""

from flask.typing import ResponseReturnValue
from marshmallow import fields

from app.api.client import actor
from app.api.database.views import bp
from app.api.wire import Out
from app.contracts import described
from app.services import clock, secrets


class MasterKeyOut(Out):
    """Whether the key file opens what is stored: `ok`, `missing`, `unusable` or `other`; and whose secrets it does not.

    `message` says what is wrong and what to do; empty while nothing is.
    """

    state = fields.String(metadata={"enum": ["ok", secrets.MISSING, secrets.UNUSABLE, secrets.OTHER]})
    message = fields.String()
    owners = fields.List(fields.String())


class GivenUpOut(Out):
    """Whose secrets were cleared."""

    owners = fields.List(fields.String())


@bp.get("/master-key")
@described({200: MasterKeyOut})
def show_master_key() -> ResponseReturnValue:
    """Whether the key file opens all stored secrets."""
    trouble = secrets.find_trouble()
    if trouble is None:
        return {"state": "ok", "message": "", "owners": []}
    return {"state": trouble.state, "message": trouble.sentence, "owners": list(trouble.owners)}


@bp.post("/master-key/give-up-secrets")
@described({200: GivenUpOut}, errors=(409,))
def give_up_secrets() -> ResponseReturnValue:
    """Clear the stored secrets that the key file does not open; without one make a new one. 409 while all is well."""
    return {"owners": list(secrets.give_up(actor=actor(), now=clock.now()))}
