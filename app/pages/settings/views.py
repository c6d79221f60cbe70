"""The frame of the settings: which tab is shown, and which there are."""

from flask import request
from flask.typing import ResponseReturnValue
from flask_login import current_user

from app.pages.settings.blueprint import bp
from app.pages.settings.tabs import find_tab, tabs_for


@bp.get("/", strict_slashes=False)
def index() -> ResponseReturnValue:
    """The tab that `tab` in the address asks for, or else the first."""
    return find_tab(request.args.get("tab"), current_user.is_admin).show()


@bp.context_processor
def frame_values() -> dict[str, object]:
    """What the frame needs: the tabs to choose from, and whether this person may change anything."""
    return {"tabs": tabs_for(current_user.is_admin), "is_locked": not current_user.is_admin}
