"""Pages that ask Duplicati servers: a form, how far it is, and starting a job. All may collect; see `Caller`."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from app.api.backups.collect_views import caller, find_batch
from app.api.client import actor, visible_server_ids
from app.contracts import AppError, Guard, guarded
from app.pages import addresses
from app.pages.collecting import CollectForm, failure_words, progress_words
from app.pages.views import bp
from app.services import clock
from app.services.collect import batches, control
from app.services.collect.targets import Order, find_addressed, find_collectable


@bp.get("/collect")
def collect_form() -> ResponseReturnValue:
    """Which servers to ask, in a dialog or on a page."""
    form = CollectForm(formdata=None, server_id=request.args.get("server", ""))
    return _show_form(form)


@bp.post("/collect")
def start_collecting() -> ResponseReturnValue:
    """Begin to ask, and go where it can be watched."""
    form = CollectForm()
    batch = form.attempt(caller(), clock.now())
    return redirect(url_for("pages.collection", batch_id=batch.id), 303) if batch else (_show_form(form), 400)


@bp.post("/collect/known")
def collect_known() -> ResponseReturnValue:
    """Ask the servers that are named, or all, with what is stored for them."""
    asking = caller()
    named = [Order(server_id=server_id) for server_id in dict.fromkeys(request.form.getlist("server"))]
    orders = named or batches.orders_for_all(asking.visible_server_ids)
    try:
        batch = batches.of_application().start(orders, caller=asking, now=clock.now())
    except AppError as refusal:
        flash(refusal.message, "error")
        return redirect(addresses.local_address(request.form.get("back")), 303)
    return redirect(url_for("pages.collection", batch_id=batch.id), 303)


@bp.get("/collect/<batch_id>")
def collection(batch_id: str) -> ResponseReturnValue:
    """How far servers that are asked together are; the part that changes alone when the page asks for it."""
    batch = find_batch(batch_id)
    values = {"batch": batch, "title": progress_words(batch), "failure_words": failure_words}
    part = "progress" if "HX-Request" in request.headers else "page"
    return render_template(f"collect/{part}.html", **values)


@bp.post("/detail/<server_id>/run")
@guarded(Guard.ADMIN)
def run_job(server_id: str) -> ResponseReturnValue:
    """Have a job run now at its Duplicati, and go back to where the person was."""
    try:
        started = control.start_job(server_id, request.form.get("backup", ""), actor=actor(), now=clock.now())
    except AppError as refusal:
        flash(failure_words(str(refusal.extra.get("errorCode", "")), refusal.message), "error")
    else:
        flash(_("Duplicati was told to run %(job)s. Its report will show here.", job=started.job_name), "success")
    return redirect(addresses.local_address(request.form.get("back")), 303)


def _show_form(form: CollectForm) -> str:
    visible = visible_server_ids()
    form.offer_servers(find_addressed(visible))
    part = "form" if "HX-Request" in request.headers else "form_page"
    return render_template(f"collect/{part}.html", form=form, collectable_count=len(find_collectable(visible)))
