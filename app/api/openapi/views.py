"""View of the openapi group."""

from flask import Blueprint, Response, current_app, request
from flask.typing import ResponseReturnValue
from marshmallow import fields

from app.api.openapi.serving import encoded_document
from app.contracts import described

bp = Blueprint("openapi", __name__)


@bp.get("/openapi.json")
@described({200: fields.Dict(), 304: None})
def show() -> ResponseReturnValue:
    """This document: every address of the API in OpenAPI 3.1."""
    body, etag = encoded_document(current_app, request.script_root)
    answer = Response(body, mimetype="application/json")
    answer.set_etag(etag)
    return answer.make_conditional(request)
