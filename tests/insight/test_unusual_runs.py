"""Messages about unusual runs: one when a figure becomes unusual, to the destinations for warnings."""

from datetime import timedelta

import pytest

from app.audit.log import Actor
from app.backups import job_stats
from app.backups.models import Job
from app.core.db.orm import writing
from app.core.settings import store as settings_store
from app.insight import insight
from app.notifications import delivery as notifications_delivery
from app.notifications import mutes
from app.notifications.models import Urgency
from app.reports import ingest as reports_ingest
from app.reports.parser import Figure

GIB = 1024**3
USUAL = {"examined_files": 50_000, "examined_bytes": 100 * GIB, "uploaded_bytes": GIB, "modified_files": 210}
ENCRYPTED = USUAL | {"modified_files": 41_230}
pytestmark = [pytest.mark.usefixtures("ntfy_channel"), pytest.mark.slow]


@pytest.fixture
def notify(db, clock):
    """Notifications of unusual runs are enabled."""
    insight.change_limits({"tells": True}, actor=Actor(), now=clock())


@pytest.fixture
def run(ingest, clock):
    """Store the run of the next day; return its job."""

    def run(**changes) -> Job:
        return ingest(began_at=clock.advance(days=1), **USUAL | changes)

    return run


@pytest.fixture
def job(run) -> Job:
    """A job with ten usual runs."""
    for _ in range(9):
        run()
    return run()


@pytest.fixture
def events(deliveries):
    """Return the event of every message so far."""
    return lambda: [row.event for row in deliveries()]


def test_unusual_runs_are_notified_only_if_enabled(job, run, events):
    assert run(**ENCRYPTED).anomalies
    assert events() == []


@pytest.mark.usefixtures("notify")
class TestMessage:
    def test_it_names_the_run_and_each_unusual_figure_with_the_usual_one(self, job, run, deliveries, clock):
        settings_store.put("public_url", "https://backups.example.org/", now=clock())
        stored = run(**ENCRYPTED | {"uploaded_bytes": 40 * GIB})
        [delivery] = deliveries()
        payload = delivery.payload
        assert (delivery.event, delivery.job_id, payload["severity"]) == ("unusualRun", job.id, "warning")
        assert payload["title"] == "🔎 Unusual run: photos on nas"
        assert "• Modified files: 41,230, typically 210\n" in payload["text"]
        assert "• Uploaded: 40.00 GB, typically 1.00 GB\n" in payload["text"].replace("\\", "")
        page = f"https://backups.example.org/detail/machine-1/backup/{stored.state_run_id}"
        assert payload["link"] == page
        assert page in payload["text"].replace("\\", "")

    def test_it_is_sent(self, job, run, clock, ntfy):
        run(**ENCRYPTED)
        notifications_delivery.deliver_due(clock())
        [push] = ntfy.received
        assert "Modified files: 41,230, typically 210" in push.json["message"]

    def test_a_figure_that_stays_unusual_is_not_repeated(self, job, run, events):
        for _ in range(3):
            run(examined_bytes=30 * GIB)
        assert events() == ["unusualRun"]

    def test_a_figure_of_an_earlier_run_is_not_named(self, job, run, deliveries):
        run(uploaded_bytes=40 * GIB)
        run(not_told=Figure.UPLOADED, uploaded_bytes=0, modified_files=41_230)
        [_, delivery] = deliveries()
        assert "Modified files: 41,230" in delivery.payload["text"]
        assert "Uploaded" not in delivery.payload["text"]

    def test_another_figure_makes_another_message(self, job, run, events):
        run(examined_bytes=30 * GIB)
        run(examined_bytes=30 * GIB, modified_files=41_230)
        assert events() == ["unusualRun"] * 2

    def test_after_a_usual_run_it_is_sent_again(self, job, run, events):
        for changes in (ENCRYPTED, {}, ENCRYPTED):
            run(**changes)
        assert events() == ["unusualRun"] * 2

    def test_a_failed_run_in_between_does_not_repeat_it(self, job, run, events):
        run(examined_bytes=30 * GIB)
        assert [stored["figure"] for stored in run(status="Error").anomalies] == ["size"]
        run(examined_bytes=30 * GIB)
        assert events() == ["unusualRun", "warning", "recovered"]

    def test_recalculating_the_figures_does_not_repeat_it(self, job, run, events, db, clock):
        run(examined_bytes=30 * GIB)
        insight.change_limits({"percent": 40}, actor=Actor(), now=clock())
        with writing() as session:
            job_stats.recompute(session, session.merge(job))
        run(examined_bytes=30 * GIB)
        assert events() == ["unusualRun"]

    def test_a_run_with_a_warning_makes_both_messages(self, job, run, events):
        run(**ENCRYPTED, status="Warning")
        assert sorted(events()) == ["unusualRun", "warning"]

    def test_a_late_run_makes_no_message(self, job, ingest, clock, events):
        ingest(began_at=clock() - timedelta(hours=1), **ENCRYPTED)
        assert events() == []

    def test_an_unsaved_run_makes_no_message(self, job, run, events, clock):
        insight.change_limits({"tells": False}, actor=Actor(), now=clock())
        run(**ENCRYPTED)
        insight.change_limits({"tells": True}, actor=Actor(), now=clock())
        run(**ENCRYPTED, outcome="aborted")
        assert events() == []

    def test_a_collected_run_makes_no_message(self, job, report, clock, events):
        with writing() as session:
            newest = report(began_at=clock.advance(days=1), **ENCRYPTED)
            reports_ingest.store_run(session, newest, reports_ingest.pack_log(newest), clock())
        assert events() == []


@pytest.mark.usefixtures("notify")
class TestDestinations:
    @pytest.fixture
    def targets(self, job, run, deliveries, db):
        """Store an unusual run of the job with these settings; return the destinations."""

        def targets(**settings) -> list[str]:
            with writing() as session:
                stored = session.merge(job)
                for name, value in settings.items():
                    setattr(stored, name, value)
            run(**ENCRYPTED)
            return [row.target for row in deliveries() if row.event == "unusualRun"]

        return targets

    @pytest.mark.parametrize(("event", "count"), [("all", 1), ("warnings", 1), ("errors", 0), ("off", 0)])
    def test_it_is_sent_to_destinations_for_warnings(self, targets, event, count):
        assert targets(notification_event=event) == [""] * count

    def test_a_job_can_leave_out_a_channel(self, targets):
        assert targets(channel_switches={"ntfy": False}) == []

    def test_additional_destinations_have_their_own_event(self, targets):
        settings = {"notification_event": "errors", "additional_event": "warnings", "additional_ntfy_topic": "extra"}
        assert targets(**settings) == ["extra"]

    def test_a_muted_job_has_no_message_until_the_mute_ends(self, targets, job, run, clock, events):
        mutes.mute("machine-1", "photos", until_at=clock() + timedelta(days=1, hours=1), actor=Actor(), now=clock())
        assert targets() == []
        run(**ENCRYPTED)
        assert events() == ["unusualRun"]


def test_it_is_not_delayed_by_quiet_hours(notify, job, run, deliveries):
    run(**ENCRYPTED)
    assert deliveries()[0].urgency == Urgency.URGENT
