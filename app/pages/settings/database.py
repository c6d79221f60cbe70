"""What the tab of database maintenance shows, and the questions it asks before something is gone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext, ngettext, pgettext

from app.contracts.errors import NotFound
from app.pages.formats import count_text, date_text, size_text
from app.pages.settings.database_forms import RulesForm, ScheduleForm
from app.pages.settings.questions import Question
from app.services import cleanup, database_state, deployment, history, local_backups, retention, servers
from app.services.database_state import DatabaseState
from app.services.history import Overview
from app.services.local_backups import LocalBackup
from app.services.retention import Forecast
from app.services.transfer import background
from app.services.transfer.background import ImportState, OldInstallation
from app.services.visibility import ALL_SERVERS

TAB, LABEL = "database-maintenance", lazy_gettext("Database maintenance")
KINDS = {
    "scheduled": lazy_gettext("By schedule"),
    "manual": lazy_gettext("By hand"),
    "safety-backup": lazy_gettext("Before a restore"),
    "before-migration": lazy_gettext("Before an update"),
}
PERIODS = {
    "6 months": lazy_gettext("Older than 6 months"),
    "1 year": lazy_gettext("Older than a year"),
    "2 years": lazy_gettext("Older than 2 years"),
    cleanup.EVERYTHING: lazy_gettext("Everything: all runs, servers and jobs"),
}
USUAL_PERIOD = "1 year"


@dataclass(frozen=True, slots=True)
class DatabasePage:
    """All that the tab is about. Copies and their schedule there are on SQLite only."""

    state: DatabaseState
    copies: tuple[LocalBackup, ...]
    next_due_at: datetime | None
    failed_at: datetime | None
    schedule_form: ScheduleForm
    rules_form: RulesForm
    forecast: Forecast
    overview: Overview
    duplicate_count: int
    import_state: ImportState
    old_installation: OldInstallation | None
    plugin_tables: tuple[str, ...]
    now: datetime


def build_page(
    now: datetime, *, schedule_form: ScheduleForm | None = None, rules_form: RulesForm | None = None
) -> DatabasePage:
    """Lay the tab out; a form that was refused is shown as it was sent."""
    return DatabasePage(
        state=database_state.describe(),
        copies=tuple(local_backups.list_backups()),
        next_due_at=local_backups.next_due_at(now),
        failed_at=local_backups.failed_at(),
        schedule_form=schedule_form or ScheduleForm.of(local_backups.schedule()),
        rules_form=rules_form or RulesForm.of(retention.rules()),
        forecast=retention.foresee(retention.rules(), now),
        overview=history.overview(now, ALL_SERVERS),
        duplicate_count=len(servers.find_duplicates()),
        import_state=background.state(),
        old_installation=background.find_old_installation(),
        plugin_tables=database_state.plugin_tables(),
        now=now,
    )


def deletion_question(copy: LocalBackup) -> Question:
    """Ask whether a copy shall be deleted."""
    told = {"name": copy.name, "size": size_text(copy.size_bytes)}
    return Question(
        title=_("Delete this backup?"),
        sentences=(_("%(name)s, %(size)s. It cannot be brought back.", **told),),
        button=_("Delete the backup"),
        action=url_for("settings.delete_copy", name=copy.name),
        back=_back(),
    )


def restore_question(copy: LocalBackup) -> Question:
    """Ask whether to go back to a copy."""
    return Question(
        title=_("Go back to this backup?"),
        sentences=(
            _("Everything that is here now is replaced by %(name)s: runs, settings and accounts.", name=copy.name),
            _("What is here now is put aside before, so that you can return to it. Everybody is signed out."),
        ),
        button=_("Restore"),
        action=url_for("settings.restore_copy", name=copy.name),
        back=_back(),
    )


def lost_tables_question(name: str, tables: Sequence[str]) -> Question:
    """Ask whether to go back to a copy even where plugins lose what they stored."""
    return Question(
        title=_("Restore without plugin tables?"),
        sentences=(
            _("These tables belong to plugins and will not be restored: %(tables)s.", tables=", ".join(tables)),
            _("What is here now is put aside before, so that you can return to it. Everybody is signed out."),
        ),
        button=_("Restore"),
        action=url_for("settings.restore_copy", name=name, accept_lost_tables=1),
        back=_back(),
    )


def compaction_question(state: DatabaseState) -> Question:
    """Ask whether the file shall be written anew."""
    told = (
        _("About %(size)s of the file are not used and would be given back.", size=size_text(state.free_bytes))
        if state.is_sqlite
        else _("PostgreSQL removes what is not used any more and looks anew at what the tables hold.")
    )
    return Question(
        title=_("Compact the database?"),
        sentences=(told, _("Reports that come meanwhile wait until it is done, some seconds for each gigabyte.")),
        button=pgettext("database", "Compact"),
        action=url_for("settings.compact_database"),
        back=_back(),
        is_dangerous=False,
    )


def clean_up_question(forecast: Forecast) -> Question:
    """Ask whether what the rules do not keep shall go now."""
    return Question(
        title=_("Clean up now?"),
        sentences=(forecast_text(forecast), _("Of each job the newest run stays.")),
        button=_("Delete"),
        action=url_for("settings.clean_up_now"),
        back=_back(),
    )


def period_question(period: str, now: datetime) -> Question:
    """Ask whether the runs of a period shall go. Raises NotFound for a period that there is not."""
    known_period(period)
    count, cutoff = cleanup.count_older_runs(period, now), cleanup.cutoff_of(period, now)
    told = {"count": count_text(count), "day": date_text(cutoff.astimezone(deployment.settings().zone).date())}
    return Question(
        title=_("Delete old runs?"),
        sentences=(
            ngettext("%(count)s run ended before %(day)s.", "%(count)s runs ended before %(day)s.", count, **told),
            _("They are deleted with their logs. Servers, jobs and settings stay."),
        ),
        button=_("Delete the runs"),
        action=url_for("settings.delete_period", period=period),
        back=_back(),
    )


def known_period(period: str) -> str:
    """The word of a period as it was asked for. Raises NotFound for one that there is not."""
    if period not in cleanup.PERIODS:
        raise NotFound("There is no such period")
    return period


def job_question(server_id: str, job_name: str, now: datetime) -> Question:
    """Ask whether the runs of a job shall go. Raises NotFound."""
    server = history.find_server(server_id, now, ALL_SERVERS)
    job = next((job for job in server.jobs if job.name == job_name), None)
    if job is None:
        raise NotFound("Job not found")
    told = {"job": job.name, "server": server.display_name, "count": count_text(job.run_count)}
    return Question(
        title=_("Delete the data of %(job)s?", job=job.name),
        sentences=(
            _("All %(count)s runs of %(job)s on %(server)s go with their logs.", **told),
            _("The settings of the job stay until the weekly clean-up."),
        ),
        button=_("Delete the runs"),
        action=url_for("settings.delete_job_data", server_id=server_id, job=job.name),
        back=_back(),
    )


def server_question(server_id: str, now: datetime) -> Question:
    """Ask whether a server shall go. Raises NotFound."""
    server = history.find_server(server_id, now, ALL_SERVERS)
    count = sum(job.run_count for job in server.jobs)
    return Question(
        title=_("Delete %(server)s?", server=server.display_name),
        sentences=(
            _("The server goes with its jobs, their settings and %(runs)s runs.", runs=count_text(count)),
            _("If it reports again, it begins anew."),
        ),
        button=_("Delete the server"),
        action=url_for("settings.delete_server_data", server_id=server_id),
        back=_back(),
    )


def forecast_text(forecast: Forecast) -> str:
    """What a clean-up takes, in one sentence."""
    if forecast.is_empty:
        return _("Nothing would be deleted.")
    jobs, runs = len(forecast.shares), count_text(forecast.run_count)
    deliveries, logs = forecast.delivery_count, len(forecast.log_names)
    parts = []
    if jobs:
        parts.append(ngettext("%(runs)s runs of %(num)s job", "%(runs)s runs of %(num)s jobs", jobs, runs=runs))
    if deliveries:
        parts.append(ngettext("%(num)s old delivery", "%(num)s old deliveries", deliveries))
    if logs:
        parts.append(ngettext("%(num)s old log file", "%(num)s old log files", logs))
    return _("This deletes: %(what)s.", what=", ".join(parts))


def words() -> Mapping[str, object]:
    """Words of the tab by what they stand for."""
    return {"kinds": KINDS, "periods": PERIODS, "usual_period": USUAL_PERIOD, "forecast_text": forecast_text}


def _back() -> str:
    return url_for("settings.index", tab=TAB)
