"""The dashboard, and what a person does there about a job: hold its messages back, tag it, say how much room it has."""

from flask import request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from flask_login import current_user

from app.api.client import visible_server_ids
from app.pages import dashboard as boards
from app.pages import first_steps, metrics, side_panels, sparklines
from app.pages.formats import exact_text
from app.pages.languages import format_tag
from app.pages.live import is_refresh, render_live
from app.pages.views import bp
from app.services import clock, history, preferences
from app.services.transfer import background

# What a job tells: in words, as an icon, in its tone.
EVENT_WORDS = {
    "off": (lazy_gettext("Tells nothing"), "bell-off", "none"),
    "all": (lazy_gettext("Tells of every run"), "bell", "ok"),
    "warnings": (lazy_gettext("Tells of warnings and errors"), "bell", "warn"),
    "errors": (lazy_gettext("Tells of errors"), "bell", "bad"),
}


@bp.get("/")
def dashboard() -> ResponseReturnValue:
    """All backups at one look; the first steps while nothing has been reported yet."""
    preferred, visible = preferences.of(current_user), visible_server_ids()
    query = boards.read_query(request.args, preferred)
    if not is_refresh():
        preferences.remember(current_user, **boards.asked_preferences(request.args, query))
    range_name = side_panels.known_range(request.args.get("range"), preferred.chart_range)
    board = boards.build_board(history.overview(clock.now(), visible), query)
    values = {
        "board": board,
        "old_installation": background.offered_installation() if current_user.is_admin else None,
        "query": query,
        "now": board.overview.now,
        "servers": {server.id: server for server in board.overview.servers},
        "columns": boards.COLUMNS,
        "orders": boards.ORDERS,
        "views": boards.VIEWS,
        "status_filters": boards.STATUS_FILTERS,
        # Said once for each page, and not once for each job.
        "labels": {column.name: str(column.label) for column in boards.COLUMNS} | {"beats": _("Last runs")},
        "event_words": {event: (str(words), *look) for event, (words, *look) in EVENT_WORDS.items()},
        "about_words": _("About {job} on {server}"),
        "option_sets": first_steps.option_sets(),
        "range_name": range_name,
        "range_labels": metrics.RANGE_LABELS,
        "panel_ranges": side_panels.RANGES_SHOWN,
        "weeks_shown": side_panels.WEEKS_SHOWN,
        "first_weekday": preferred.first_weekday(format_tag()),
        "area": sparklines.area,
        "exact_text": exact_text,
    }

    def fill() -> dict[str, object]:
        return {"panel": side_panels.build_panel(query.panel, board.overview, range_name, visible)}

    return render_live("dashboard", f"{board.etag}{range_name}", fill, **values)
