"""Messages about destinations that will be full: once below 30 days and once below 7, for all jobs of a check."""

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
pytestmark = pytest.mark.usefixtures("ntfy_channel")


@pytest.fixture
def settings(settings_of_each_database):
    """Every test here runs on SQLite and on PostgreSQL."""
    return settings_of_each_database


@pytest.fixture
def store(ingest, clock):
    """Store a run of today with so much free space; gives its job."""

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
    """Make jobs whose destinations grow by a gigabyte a day for some days; gives the last one."""

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
def look(clock, deliveries):
    """Looks around, and gives the titles of all messages so far."""

    def look(**later: float) -> list[str]:
        watchdogs.run_watchdogs(clock.advance(**later))
        return [row.payload["title"] for row in deliveries() if row.event.startswith("destination")]

    return look


def job_of(job: Job) -> Job:
    """The job as it stands in the database."""
    with writing() as session:
        return session.get(Job, job.id, populate_existing=True)


IN_29 = "📦 Destination full in 29 days: photos on machine-1"
IN_6 = "📦 Destination full in 6 days: photos on machine-1"


@pytest.fixture
def fill(store, job, look):
    """Store a run with so many days of free space left, and look around a bit later; gives all titles so far."""

    def fill(days: float, **changes) -> list[str]:
        store(days, server_name="machine-1", **changes)
        return look(minutes=5)

    return fill


class TestDays:
    def test_each_number_of_days_makes_one_message(self, fill, look):
        assert fill(30.5) == []
        assert fill(29.9) == [IN_29]
        assert look(minutes=5) == [IN_29]
        assert fill(20) == [IN_29]
        assert fill(6.5) == [IN_29, IN_6]
        assert fill(0) == [IN_29, IN_6]

    def test_time_alone_brings_it_closer(self, fill, look):
        assert fill(31.5) == []
        assert len(look(days=2)) == 1

    def test_who_comes_to_seven_days_at_once_is_told_once(self, fill, deliveries):
        assert fill(6.5) == [IN_6]
        [delivery] = [row for row in deliveries() if row.event == "destinationFull"]
        payload = delivery.payload
        assert (payload["severity"], payload["priority"]) == ("error", "high")
        assert "Free space: 6.50 GB" in payload["text"].replace("\\", "")
        assert "Growth per day: 1.00 GB" in payload["text"].replace("\\", "")

    def test_thirty_days_are_less_loud(self, fill, deliveries):
        fill(29.9)
        payload = deliveries()[-1].payload
        assert (payload["severity"], payload["priority"]) == ("warning", "default")

    def test_one_that_is_full_counts_as_less_than_seven(self, fill):
        assert fill(0) == ["📦 Destination full now: photos on machine-1"]

    def test_up_to_45_days_nothing_is_repeated(self, fill):
        titles = [IN_29]
        assert fill(29.9) == titles
        assert fill(44.5) == titles
        assert fill(29.9) == titles
        assert fill(46) == titles
        assert fill(29.9) == titles * 2

    def test_space_that_was_made_by_a_larger_size_counts(self, fill, job, look):
        fill(29.9)
        with writing() as session:
            session.merge(job).quota_bytes = 3000 * GIB
        look()
        assert job_of(job).full_notified_days is None
        with writing() as session:
            session.merge(job).quota_bytes = 561 * GIB
        assert len(look(minutes=5)) == 2


class TestFigures:
    @pytest.mark.parametrize(("days", "count"), [(28, 0), (29, 1)])
    def test_less_than_four_weeks_of_figures_make_no_message(self, grown, store, look, days, count):
        grown(days=days)
        store(20, server_name="machine-1", storage_bytes=(500 + days) * GIB)
        assert len(look()) == count

    def test_one_that_is_full_needs_no_figures(self, store, look):
        store(0)
        assert len(look()) == 1

    def test_without_known_space_there_is_none(self, ingest, job, clock, look):
        ingest(began_at=clock.advance(minutes=1), quota_total_bytes=None, quota_free_bytes=None)
        assert look() == []

    def test_a_job_that_does_not_run_any_more_fills_nothing(self, fill, look):
        assert fill(60) == []
        assert look(days=36) == []


class TestDestinations:
    @pytest.fixture
    def targets(self, fill, job, deliveries):
        """Let the destination of the job with these settings fill; gives where messages go."""

        def targets(**settings) -> list[str]:
            with writing() as session:
                stored = session.merge(job)
                for name, value in settings.items():
                    setattr(stored, name, value)
            fill(20)
            return [row.target for row in deliveries() if row.event == "destinationFull"]

        return targets

    def test_the_event_filter_of_a_job_does_not_hold_it_back(self, targets):
        assert targets(notification_event="off") == [""]

    def test_additional_destinations_hear_of_it_unless_their_event_is_off(self, targets):
        assert sorted(targets(additional_event="errors", additional_ntfy_topic="extra")) == ["", "extra"]

    def test_additional_destinations_that_are_off_do_not(self, targets):
        assert targets(additional_event="off", additional_ntfy_topic="extra") == [""]

    def test_what_nobody_was_notified_of_is_due_again(self, targets, job, clock, look):
        channels.save_settings("ntfy", "ntfy", {}, now=clock(), is_enabled=False)
        assert targets() == []
        channels.save_settings("ntfy", "ntfy", {}, now=clock(), is_enabled=True)
        assert len(look()) == 1

    def test_a_job_can_leave_out_a_channel(self, targets):
        assert targets(channel_switches={"ntfy": False}) == []

    @pytest.mark.parametrize("job_name", ["photos", None])
    def test_a_mute_holds_it_back_until_its_end(self, targets, look, clock, job_name):
        mutes.mute("machine-1", job_name, until_at=clock() + DAY, actor=Actor(), now=clock())
        assert targets() == []
        assert len(look(days=1)) == 1

    def test_it_can_be_switched_off(self, targets, clock, look):
        save_group(watchdogs.ALARM_LIMITS, {"notifies_full": False}, actor=Actor(), now=clock())
        assert targets() == []
        save_group(watchdogs.ALARM_LIMITS, {"notifies_full": True}, actor=Actor(), now=clock())
        assert len(look()) == 1


class TestSeveralJobs:
    def test_jobs_of_one_check_make_one_message(self, grown, store, look, deliveries, clock, ntfy):
        grown("mail", "photos")
        for name in ("mail", "photos"):
            store(20, job_name=name, server_name="machine-1", storage_bytes=541 * GIB)
        assert look() == ["📦 Destinations that will be full soon: 2"]
        text = deliveries()[-1].payload["text"].replace("\\", "")
        assert "• machine-1: mail, full in 19 days, free space 20.00 GB\n• machine-1: photos" in text
        notifications_delivery.deliver_due(clock())
        assert any("be full soon" in push.json["title"] for push in ntfy.received)

    def test_each_destination_hears_of_its_jobs_alone(self, grown, store, look, deliveries):
        job = grown("mail", "photos")
        with writing() as session:
            session.merge(job).additional_event = "all"
            session.merge(job).additional_ntfy_topic = "extra"
        for name in ("mail", "photos"):
            store(20, job_name=name, server_name="machine-1", storage_bytes=541 * GIB)
        look()
        found = {row.target: row.event for row in deliveries() if row.event.startswith("destination")}
        assert found == {"": "destinationsFull", "extra": "destinationFull"}

    def test_words_of_every_language_are_whole(self, grown, store, look, deliveries, clock):
        settings_store.put("notification_templates", {"language": "de"}, now=clock())
        grown()
        store(6.5, server_name="machine-1", storage_bytes=541 * GIB)
        look()
        [delivery] = [row for row in deliveries() if row.event == "destinationFull"]
        assert delivery.payload["title"].startswith("📦 Ziel in 6 Tagen voll: ")
        assert "{" not in delivery.payload["text"]
