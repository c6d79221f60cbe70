"""Views of the database group that bring an old installation along."""

from typing import Any, BinaryIO, cast

from flask import request
from flask.typing import ResponseReturnValue
from marshmallow import fields

from app.api.client import actor, json_body
from app.api.database.imports import ImportOut, PieceQuery, ReceivedOut, StartIn, dump_import
from app.api.database.views import bp
from app.api.wire import MESSAGE
from app.contracts import Content, described, takes_bytes
from app.services import clock
from app.services.transfer import background, received_files

BYTES = Content("application/octet-stream", shape=fields.String(metadata={"format": "binary"}))


@bp.get("/import")
@described({200: ImportOut})
def show_import() -> ResponseReturnValue:
    """How the newest import goes or ended, what was received so far, and the old installation that was found."""
    return told()


@bp.put("/import/file")
@takes_bytes(received_files.MOST_PIECE_BYTES)
@described({200: ReceivedOut}, query=PieceQuery, body=BYTES, errors=(409,))
def receive_file() -> ResponseReturnValue:
    """Receive an old database, or the piece of it that begins at `offset`.

    409 tells with `receivedBytes` where to go on. Pieces may hold 200 MiB; browsers send small ones.
    """
    place = PieceQuery().load(request.args)
    background.require_rest()
    return ReceivedOut().dump(received_files.receive_piece(cast(BinaryIO, request.stream), **place))


@bp.put("/import/key")
@takes_bytes(received_files.MOST_KEY_BYTES)
@described({200: ReceivedOut}, body=BYTES, errors=(409,))
def receive_key() -> ResponseReturnValue:
    """Receive the key file of the old installation, which opens its passwords."""
    background.require_rest()
    return ReceivedOut().dump(received_files.receive_key(request.get_data()))


@bp.post("/import")
@described({202: ImportOut}, body=StartIn, is_body_optional=True, errors=(404, 409))
def start_import() -> ResponseReturnValue:
    """Begin to import, or go on with an import that was broken off; it goes on when nobody asks how it goes."""
    background.start(**StartIn().load(json_body(optional=True)), actor=actor(), now=clock.now())
    return told(), 202


@bp.delete("/import")
@described({200: MESSAGE}, errors=(409,))
def discard_import() -> ResponseReturnValue:
    """Delete what was received and the account of the last import; what was imported stays."""
    background.forget(actor=actor(), now=clock.now())
    return {"message": "Discarded"}


@bp.post("/import/decline")
@described({200: MESSAGE})
def decline_import() -> ResponseReturnValue:
    """Offer the old installation that was found no more."""
    background.decline(actor=actor(), now=clock.now())
    return {"message": "It is not offered any more"}


def told() -> dict[str, Any]:
    """How the newest import goes, and what could be imported."""
    return dump_import(background.state(), received_files.received(), background.find_old_installation())
