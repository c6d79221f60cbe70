"""The blueprint that the views of all tabs belong to."""

from flask import Blueprint

bp = Blueprint("settings", __name__, url_prefix="/settings", template_folder="../templates")
