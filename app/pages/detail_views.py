"""The pages of a server, of a run, and of the charts. Each view loads, lays out through a module, and renders."""

from flask import Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user

from app.api.client import actor, visible_server_ids
from app.api.servers.changes import ALIAS_LENGTH
from app.contracts import Guard, guarded
from app.pages import chart_tables, metrics, run_detail, server_detail
from app.pages.live import render_live
from app.pages.views import bp
from app.pages.words import anomaly_figures, span_words
from app.services import clock, history, preferences, servers

WORDS = {"anomaly_figures": anomaly_figures, "span_words": span_words}


@bp.get("/detail/<server_id>")
def server(server_id: str) -> ResponseReturnValue:
    """One server, or one of its jobs: figures, history, charts."""
    now = clock.now()
    query = server_detail.read_query(request.args, preferences.of(current_user), now.date())
    detail = server_detail.build_detail(server_id, query, now, visible_server_ids())
    values = {"columns": server_detail.COLUMNS, "page_sizes": server_detail.PAGE_SIZES, **WORDS}
    return render_live("server", detail.etag, detail=detail, range_labels=metrics.RANGE_LABELS, **values)


@bp.get("/detail/<server_id>/names")
@guarded(Guard.ADMIN)
def names_form(server_id: str) -> ResponseReturnValue:
    """Ask what people call a server, and what is to be known of it."""
    return _show_names(server_id)


@bp.post("/detail/<server_id>/names")
@guarded(Guard.ADMIN)
def save_names(server_id: str) -> ResponseReturnValue:
    """Keep alias and note of a server; its address stays as it is."""
    form, now = request.form, clock.now()
    alias, note = form.get("alias", "").strip(), form.get("note", "").strip()
    if len(alias) > ALIAS_LENGTH:
        return _show_names(server_id, problem=_("The alias is too long.")), 400
    url = servers.find_by_id(server_id, visible_server_ids()).url
    servers.change_server(server_id, servers.ServerChange(url, alias, note), actor=actor(), now=now)
    flash(_("Saved."), "success")
    return redirect(url_for("pages.server", server_id=server_id), 303)


@bp.get("/detail/<server_id>/job")
def job_card(server_id: str) -> ResponseReturnValue:
    """How one job stands, for the dialog."""
    values = server_detail.find_job(server_id, request.args.get("backup", ""), clock.now(), visible_server_ids())
    return render_template("server/job_card.html", **values)


@bp.get("/detail/<server_id>/backup/<run_id>")
def run(server_id: str, run_id: str) -> ResponseReturnValue:
    """One run: all its figures beside those of the run before, and its log."""
    now = clock.now()
    server = history.find_server(server_id, now, visible_server_ids())
    detail, query = history.find_run(run_id, server_id), run_detail.read_query(request.args)
    values = run_detail.lay_out(detail, server, query, now)
    return render_template("run/page.html", log_lines=run_detail.log_lines, **values, **WORDS)


@bp.get("/detail/<server_id>/backup/<run_id>/log.txt")
def run_log(server_id: str, run_id: str) -> ResponseReturnValue:
    """The log of a run as plain text, to keep or to send on."""
    history.find_server(server_id, clock.now(), visible_server_ids())
    detail = history.find_run(run_id, server_id)
    answer = Response(run_detail.log_text(detail), mimetype="text/plain")
    answer.headers["Content-Disposition"] = f'attachment; filename="{run_detail.log_name(detail)}"'
    return answer


@bp.get("/detail/<server_id>/backup/<run_id>/versions")
def versions(server_id: str, run_id: str) -> ResponseReturnValue:
    """The versions there were after a run, for the dialog."""
    history.find_server(server_id, clock.now(), visible_server_ids())
    detail = history.find_run(run_id, server_id)
    found = run_detail.versions_of(detail)
    return render_template("run/versions.html", detail=detail, versions=found, now=clock.now())


@bp.get("/charts")
def charts() -> ResponseReturnValue:
    """The charts over all servers."""
    now = clock.now()
    query = metrics.read_query(request.args, preferences.of(current_user), now.date())
    built = metrics.build_metrics(query, now, visible=visible_server_ids())
    return render_live("charts", built.etag, metrics=built, range_labels=metrics.RANGE_LABELS)


@bp.get("/charts.csv")
def charts_table() -> ResponseReturnValue:
    """The values that charts show, of all servers, of one or of a job, as a table for other programs."""
    now, visible = clock.now(), visible_server_ids()
    server_id, job_name = request.args.get("server") or None, request.args.get("backup") or None
    if server_id is not None:
        history.find_server(server_id, now, visible)
    query = metrics.read_query(request.args, preferences.of(current_user), now.date())
    built = metrics.build_metrics(
        query, now, server_id=server_id, job_name=job_name if server_id else None, visible=visible
    )
    answer = Response(chart_tables.as_csv(built, request.args.get("chart")), mimetype="text/csv")
    answer.headers["Content-Disposition"] = f'attachment; filename="{chart_tables.file_name(built)}"'
    return answer


def _show_names(server_id: str, problem: str = "") -> str:
    values = {"server": history.find_server(server_id, clock.now(), visible_server_ids()), "problem": problem}
    part = "names" if "HX-Request" in request.headers else "names_page"
    return render_template(f"server/{part}.html", **values)
