"""Messages about nearly full destinations: once below 30 days and once below 7, for all jobs of a check."""

from datetime import timedelta

import pytest

from app.audit.log import Actor, save_group
from app.backups.models import Job
from app.core.db.orm import writing
from app.core.settings import store as settings_store
from app.notifications import channels, mutes, watchdogs
from app.notifications import delivery as notifications_delivery

GIB = 1024**3
DAY = timedelta(days=1)
pytestmark = [pytest.mark.usefixtures("ntfy_channel"), pytest.mark.slow]


@pytest.fixture
def settings(settings_of_each_database):
    """Every test here runs on SQLite and on PostgreSQL."""
    return settings_of_each_database


@pytest.fixture
def store(ingest, clock):
    """Store a run of today with so much free space; return its job."""

    def store(free: int, **changes) -> Job:
        quota = {"quota_total_bytes": 2000 * GIB, "quota_free_bytes": int(free * GIB)}
        return ingest(**{"began_at": clock.advance(minutes=1), "storage_bytes": 541 * GIB, **quota, **changes})

    return store


@pytest.fixture
def job(grown) -> Job:
    """A job that adds a gigabyte a day, for 40 days."""
    return grown()


@pytest.fixture
def grown(store, clock):
    """Store jobs whose destinations grow by a gigabyte a day for some days; return the last one."""

    def grown(*names: str, days: int = 40, server_id: str = "machine-1") -> Job:
        begun_at = clock()
        for name in names or ("photos",):
            clock.now = begun_at
            for day in range(0, days, 2):
                clock.now = begun_at + day * DAY
                job = store(
                    300, storage_bytes=(500 + day) * GIB, job_name=name, server_id=server_id, server_name=server_id
                )
        return job

    return grown


@pytest.fixture
def run_check(clock, deliveries):
    """Run the check, and return the titles of all messages so far."""

    def run_check(**later: float) -> list[str]:
        watchdogs.run_watchdogs(clock.advance(**later))
        return [row.payload["title"] for row in deliveries() if row.event.startswith("destination")]

    return run_check


def job_of(job: Job) -> Job:
    """Return the job from the database."""
    with writing() as session:
        return session.get(Job, job.id, populate_existing=True)


IN_29 = "📦 Destination full in 29 days: photos on machine-1"
IN_6 = "📦 Destination full in 6 days: photos on machine-1"


@pytest.fixture
def fill(store, job, run_check):
    """Store a run with so many days of free space left, and check a bit later; return all titles so far."""

    def fill(days: float, **changes) -> list[str]:
        store(days, server_name="machine-1", **changes)
        return run_check(minutes=5)

    return fill


class TestDays:
    def test_each_number_of_days_makes_one_message(self, fill, run_check):
        assert fill(30.5) == []
        assert fill(29.9) == [IN_29]
        assert run_check(minutes=5) == [IN_29]
        assert fill(20) == [IN_29]
        assert fill(6.5) == [IN_29, IN_6]
        assert fill(0) == [IN_29, IN_6]

    def test_time_alone_reduces_the_days(self, fill, run_check):
        assert fill(31.5) == []
        assert len(run_check(days=2)) == 1

    def test_reaching_seven_days_at_once_makes_one_message(self, fill, deliveries):
        assert fill(6.5) == [IN_6]
        [delivery] = [row for row in deliveries() if row.event == "destinationFull"]
        payload = delivery.payload
        assert (payload["severity"], payload["priority"]) == ("error", "high")
        assert "Free space: 6.50 GB" in payload["text"].replace("\\", "")
        assert "Growth per day: 1.00 GB" in payload["text"].replace("\\", "")

    def test_thirty_days_have_a_lower_priority(self, fill, deliveries):
        fill(29.9)
        payload = deliveries()[-1].payload
        assert (payload["severity"], payload["priority"]) == ("warning", "default")

    def test_a_full_destination_counts_as_less_than_seven_days(self, fill):
        assert fill(0) == ["📦 Destination full now: photos on machine-1"]

    def test_up_to_45_days_nothing_is_repeated(self, fill):
        titles = [IN_29]
        assert fill(29.9) == titles
        assert fill(44.5) == titles
        assert fill(29.9) == titles
        assert fill(46) == titles
        assert fill(29.9) == titles * 2

    def test_space_gained_by_a_larger_size_counts(self, fill, job, run_check):
        fill(29.9)
        with writing() as session:
            session.merge(job).quota_bytes = 3000 * GIB
        run_check()
        assert job_of(job).full_notified_days is None
        with writing() as session:
            session.merge(job).quota_bytes = 561 * GIB
        assert len(run_check(minutes=5)) == 2


class TestFigures:
    @pytest.mark.parametrize(("days", "count"), [(28, 0), (29, 1)])
    def test_less_than_four_weeks_of_figures_make_no_message(self, grown, store, run_check, days, count):
        grown(days=days)
        store(20, server_name="machine-1", storage_bytes=(500 + days) * GIB)
        assert len(run_check()) == count

    def test_a_full_destination_needs_no_figures(self, store, run_check):
        store(0)
        assert len(run_check()) == 1

    def test_without_known_space_there_is_no_message(self, ingest, job, clock, run_check):
        ingest(began_at=clock.advance(minutes=1), quota_total_bytes=None, quota_free_bytes=None)
        assert run_check() == []

    def test_a_job_without_recent_runs_has_no_forecast(self, fill, run_check):
        assert fill(60) == []
        assert run_check(days=36) == []


class TestDestinations:
    @pytest.fixture
    def targets(self, fill, job, deliveries):
        """Let the destination of the job with these settings fill; return the destinations of messages."""

        def targets(**settings) -> list[str]:
            with writing() as session:
                stored = session.merge(job)
                for name, value in settings.items():
                    setattr(stored, name, value)
            fill(20)
            return [row.target for row in deliveries() if row.event == "destinationFull"]

        return targets

    def test_the_event_filter_of_a_job_does_not_suppress_it(self, targets):
        assert targets(notification_event="off") == [""]

    def test_additional_destinations_are_notified_unless_their_event_is_off(self, targets):
        assert sorted(targets(additional_event="errors", additional_ntfy_topic="extra")) == ["", "extra"]

    def test_disabled_additional_destinations_are_not_notified(self, targets):
        assert targets(additional_event="off", additional_ntfy_topic="extra") == [""]

    def test_an_unsent_notification_is_due_again(self, targets, job, clock, run_check):
        channels.save_settings("ntfy", "ntfy", {}, now=clock(), is_enabled=False)
        assert targets() == []
        channels.save_settings("ntfy", "ntfy", {}, now=clock(), is_enabled=True)
        assert len(run_check()) == 1

    def test_a_job_can_leave_out_a_channel(self, targets):
        assert targets(channel_switches={"ntfy": False}) == []

    @pytest.mark.parametrize("job_name", ["photos", None])
    def test_a_mute_delays_it_until_its_end(self, targets, run_check, clock, job_name):
        mutes.mute("machine-1", job_name, until_at=clock() + DAY, actor=Actor(), now=clock())
        assert targets() == []
        assert len(run_check(days=1)) == 1

    def test_it_can_be_disabled(self, targets, clock, run_check):
        save_group(watchdogs.ALARM_LIMITS, {"notifies_full": False}, actor=Actor(), now=clock())
        assert targets() == []
        save_group(watchdogs.ALARM_LIMITS, {"notifies_full": True}, actor=Actor(), now=clock())
        assert len(run_check()) == 1


class TestSeveralJobs:
    def test_jobs_of_one_check_make_one_message(self, grown, store, run_check, deliveries, clock, ntfy):
        grown("mail", "photos")
        for name in ("mail", "photos"):
            store(20, job_name=name, server_name="machine-1", storage_bytes=541 * GIB)
        assert run_check() == ["📦 Destinations that will be full soon: 2"]
        text = deliveries()[-1].payload["text"].replace("\\", "")
        assert "• machine-1: mail, full in 19 days, free space 20.00 GB\n• machine-1: photos" in text
        notifications_delivery.deliver_due(clock())
        assert any("be full soon" in push.json["title"] for push in ntfy.received)

    def test_each_destination_is_notified_of_its_jobs_only(self, grown, store, run_check, deliveries):
        job = grown("mail", "photos")
        with writing() as session:
            session.merge(job).additional_event = "all"
            session.merge(job).additional_ntfy_topic = "extra"
        for name in ("mail", "photos"):
            store(20, job_name=name, server_name="machine-1", storage_bytes=541 * GIB)
        run_check()
        found = {row.target: row.event for row in deliveries() if row.event.startswith("destination")}
        assert found == {"": "destinationsFull", "extra": "destinationFull"}

    def test_texts_of_every_language_are_complete(self, grown, store, run_check, deliveries, clock):
        settings_store.put("notification_templates", {"language": "de"}, now=clock())
        grown()
        store(6.5, server_name="machine-1", storage_bytes=541 * GIB)
        run_check()
        [delivery] = [row for row in deliveries() if row.event == "destinationFull"]
        assert delivery.payload["title"].startswith("📦 Ziel in 6 Tagen voll: ")
        assert "{" not in delivery.payload["text"]
