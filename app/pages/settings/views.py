"""The frame of the settings: which tab is shown, and which there are."""

from urllib.parse import urlencode

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from app.pages.settings.blueprint import bp
from app.pages.settings.tabs import find_tab, first_tab, grouped_tabs
from app.services import preferences
from app.services.visibility import is_limited


@bp.get("/", strict_slashes=False)
def index() -> ResponseReturnValue:
    """The tab that `tab` in the address asks for; without one, or with one of others, the way to one there is."""
    found = find_tab(request.args.get("tab"), current_user)
    if found is None:
        return redirect(_address_of_tab(), 303)
    preferences.remember(current_user, settings_tab=found.name)
    return found.show()


@bp.context_processor
def frame_values() -> dict[str, object]:
    """What the frame needs: the tabs to choose from, and whether this person may change anything.

    Asked for the error pages of these addresses too, and so for visitors.
    """
    return {
        "tab_groups": grouped_tabs(current_user),
        "is_locked": not current_user.is_admin,
        "is_limited": is_limited(current_user),
    }


def _address_of_tab() -> str:
    """Where to look instead: `section` is an older word for `tab`; who names neither goes on where they were."""
    values = request.args.to_dict()
    wanted = values.pop("tab", None) or values.pop("section", None)
    found = find_tab(wanted, current_user)
    if found is not None:
        values["tab"] = found.name
        return f"{url_for('settings.index')}?{urlencode(values)}"
    last_used = None if wanted else find_tab(preferences.of(current_user).settings_tab, current_user)
    return url_for("settings.index", tab=(last_used or first_tab(current_user)).name)
