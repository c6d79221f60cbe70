"""Views of the tab of the audit log."""

from flask import render_template, request
from flask.typing import ResponseReturnValue

from app.api.audit.views import limited_to
from app.pages.settings import audit as layout
from app.pages.settings.blueprint import bp
from app.services import audit_reading, clock

TAB = "audit"


def show() -> ResponseReturnValue:
    """The entries that the address asks for, newest first."""
    found = layout.build_page(request.args, limited_to())
    words = {"categories": layout.CATEGORIES, "statuses": layout.STATUSES, "now": clock.now()}
    return render_template("settings/audit.html", tab=TAB, found=found, **words)


@bp.get("/audit/<int:entry_id>")
def show_audit_entry(entry_id: int) -> ResponseReturnValue:
    """All that is known of one entry, in a dialog or on a page."""
    entry = audit_reading.find_entry(entry_id, limited_to())
    part = "audit_entry" if "HX-Request" in request.headers else "audit_entry_page"
    words = {"categories": layout.CATEGORIES, "statuses": layout.STATUSES, "now": clock.now()}
    details = layout.lay_out_details(entry.details)
    return render_template(f"settings/{part}.html", tab=TAB, entry=entry, details=details, **words)
