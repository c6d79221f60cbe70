"""Alarms about silence and about channels: sent once, in time, through a working channel, and resolved."""

from datetime import timedelta

import pytest

from app.audit.log import Actor, save_group
from app.core.db.orm import writing
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.notifications import channels, delivery, mutes, watchdogs
from app.plugin.testing.http_servers import Answer, recording_server

HOUR = timedelta(hours=1)


@pytest.fixture
def run_check(clock, deliveries):
    """Run the check, and return the titles of all messages so far."""

    def run_check(**later: float) -> list[str]:
        watchdogs.run_watchdogs(clock.advance(**later))
        return [row.payload["title"] for row in deliveries()]

    return run_check


@pytest.mark.usefixtures("ntfy_channel")
class TestSilence:
    TITLE = "🔇 No reports for 2 days"

    def test_it_is_notified_once_after_its_hours(self, ingest, run_check):
        ingest()
        assert run_check(hours=47, minutes=59) == []
        assert run_check(minutes=1) == [self.TITLE]
        assert run_check(days=7) == [self.TITLE]

    def test_the_first_report_after_it_is_notified(self, ingest, run_check, clock, ntfy):
        ingest()
        run_check(hours=48)
        ingest(job_name="letters", began_at=clock.advance(hours=1))
        assert run_check() == [self.TITLE, "🔔 Reports resumed"]
        assert run_check(hours=47) == [self.TITLE, "🔔 Reports resumed"]
        delivery.deliver_due(clock())
        texts = [push.json["message"] for push in ntfy.received]
        assert sum("letters on nas has reported. There had been no reports since" in text for text in texts) == 1

    def test_a_second_silence_is_notified_again(self, ingest, run_check, clock):
        ingest()
        run_check(hours=48)
        ingest(began_at=clock.advance(minutes=1))
        run_check()
        assert run_check(hours=60)[-1].startswith("🔇")

    def test_there_is_none_while_nothing_is_overdue(self, ingest, run_check):
        job = ingest()
        with writing():
            job.overdue_at += timedelta(days=7)
        assert run_check(days=3) == []

    def test_there_is_none_while_the_overdue_jobs_are_muted(self, ingest, run_check, clock):
        ingest()
        mutes.mute("machine-1", None, until_at=clock() + 99 * HOUR, actor=Actor(), now=clock())
        assert run_check(hours=60) == []

    def test_elapsed_time_alone_counts_if_nothing_is_checked(self, ingest, run_check):
        job = ingest()
        with writing():
            job.is_overdue_check_enabled = False
        assert run_check(hours=48) == [self.TITLE]

    def test_zero_hours_disable_it(self, ingest, run_check, clock):
        settings_store.put("silence_hours", 0, now=clock())
        ingest()
        assert run_check(days=30) == []

    def test_a_new_installation_is_not_silent(self, db, run_check):
        assert run_check(days=30) == []


class TestChannels:
    @pytest.fixture
    def pager(self, db, clock, ntfy_channel):
        """A second channel, on its own server."""
        with recording_server() as server:
            channels.save_settings("ntfy", "pager", {"url": server.url, "topic": "pager"}, now=clock())
            yield server

    @pytest.fixture
    def broken(self, pager, ntfy, ingest, clock):
        """The standard channel has just failed for the first time."""
        ntfy.standard = Answer(503, b'{"error": "out of breath"}')
        ingest(status="Error")
        delivery.deliver_due(clock())

    def test_it_is_notified_once_through_the_other_channel(self, broken, run_check, pager, clock):
        assert len(run_check(hours=1, minutes=59)) == 2
        assert run_check(minutes=2)[2:] == ["📵 Delivery through ntfy is failing"]
        assert run_check(hours=9)[2:] == ["📵 Delivery through ntfy is failing"]
        delivery.deliver_due(clock())
        text = next(push.json["message"] for push in pager.received if "is failing" in push.json["title"])
        assert "out of breath" in text
        assert "Waiting notifications: 1" in text

    def test_its_recovery_is_notified(self, broken, run_check, ntfy, clock):
        run_check(hours=2, minutes=1)
        ntfy.standard = Answer()
        delivery.deliver_due(clock())
        assert run_check()[3:] == ["💚 Delivery through ntfy has recovered"] * 2
        assert run_check(hours=5)[3:] == ["💚 Delivery through ntfy has recovered"] * 2

    def test_it_waits_while_no_other_channel_works(self, broken, run_check, pager, clock):
        channels.save_settings("ntfy", "pager", {}, now=clock(), is_enabled=False)
        assert len(run_check(hours=3)) == 2
        channels.save_settings("ntfy", "pager", {}, now=clock(), is_enabled=True)
        assert run_check()[2:] == ["📵 Delivery through ntfy is failing"]

    def test_a_short_failure_is_not_notified(self, broken, run_check, ntfy, clock):
        ntfy.standard = Answer()
        delivery.deliver_due(clock.advance(minutes=5))
        assert len(run_check(hours=5)) == 2

    def test_a_disabled_channel_is_not_notified(self, broken, run_check, clock):
        channels.save_settings("ntfy", "ntfy", {}, now=clock(), is_enabled=False)
        assert len(run_check(hours=5)) == 2
        assert channels.failing_channels() == ()

    def test_zero_hours_disable_it(self, broken, run_check, clock):
        settings_store.put("channel_failure_hours", 0, now=clock())
        assert len(run_check(hours=47)) == 2


@pytest.mark.parametrize(("silence", "failure"), [(-1, 0), (0, -1), (10**6, 0)])
def test_invalid_limits_are_rejected(db, clock, silence, failure):
    with pytest.raises(Refused):
        save_group(
            watchdogs.ALARM_LIMITS,
            {"silence_hours": silence, "channel_failure_hours": failure},
            actor=Actor(),
            now=clock(),
        )
