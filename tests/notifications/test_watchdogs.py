"""Alarms about silence and about channels: told once, in time, by a way that works, and taken back."""

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
def look(clock, deliveries):
    """Looks around, and gives the titles of all messages so far."""

    def look(**later: float) -> list[str]:
        watchdogs.run_watchdogs(clock.advance(**later))
        return [row.payload["title"] for row in deliveries()]

    return look


@pytest.mark.usefixtures("ntfy_channel")
class TestSilence:
    TITLE = "🔇 No reports for 2 days"

    def test_it_is_told_once_after_its_hours(self, ingest, look):
        ingest()
        assert look(hours=47, minutes=59) == []
        assert look(minutes=1) == [self.TITLE]
        assert look(days=7) == [self.TITLE]

    def test_the_first_report_after_it_is_told(self, ingest, look, clock, ntfy):
        ingest()
        look(hours=48)
        ingest(job_name="letters", began_at=clock.advance(hours=1))
        assert look() == [self.TITLE, "🔔 Reports resumed"]
        assert look(hours=47) == [self.TITLE, "🔔 Reports resumed"]
        delivery.deliver_due(clock())
        texts = [push.json["message"] for push in ntfy.received]
        assert sum("letters on nas has reported. There had been no reports since" in text for text in texts) == 1

    def test_a_second_silence_is_told_again(self, ingest, look, clock):
        ingest()
        look(hours=48)
        ingest(began_at=clock.advance(minutes=1))
        look()
        assert look(hours=60)[-1].startswith("🔇")

    def test_it_is_none_while_nothing_is_late(self, ingest, look):
        job = ingest()
        with writing():
            job.overdue_at += timedelta(days=7)
        assert look(days=3) == []

    def test_it_is_none_while_those_that_are_late_are_muted(self, ingest, look, clock):
        ingest()
        mutes.mute("machine-1", None, until_at=clock() + 99 * HOUR, actor=Actor(), now=clock())
        assert look(hours=60) == []

    def test_it_counts_alone_where_nothing_is_checked(self, ingest, look):
        job = ingest()
        with writing():
            job.is_overdue_check_enabled = False
        assert look(hours=48) == [self.TITLE]

    def test_zero_hours_are_never(self, ingest, look, clock):
        settings_store.put("silence_hours", 0, now=clock())
        ingest()
        assert look(days=30) == []

    def test_a_new_installation_is_not_silent(self, db, look):
        assert look(days=30) == []


class TestChannels:
    @pytest.fixture
    def pager(self, db, clock, ntfy_channel):
        """A second channel, on a server of its own."""
        with recording_server() as server:
            channels.save_settings("ntfy", "pager", {"url": server.url, "topic": "pager"}, now=clock())
            yield server

    @pytest.fixture
    def broken(self, pager, ntfy, ingest, clock):
        """The standard channel has just failed for the first time."""
        ntfy.standard = Answer(503, b'{"error": "out of breath"}')
        ingest(status="Error")
        delivery.deliver_due(clock())

    def test_it_is_told_once_through_the_other_channel(self, broken, look, pager, clock):
        assert len(look(hours=1, minutes=59)) == 2
        assert look(minutes=2)[2:] == ["📵 Delivery through ntfy is failing"]
        assert look(hours=9)[2:] == ["📵 Delivery through ntfy is failing"]
        delivery.deliver_due(clock())
        text = next(push.json["message"] for push in pager.received if "is failing" in push.json["title"])
        assert "out of breath" in text
        assert "Waiting notifications: 1" in text

    def test_it_is_told_when_it_works_again(self, broken, look, ntfy, clock):
        look(hours=2, minutes=1)
        ntfy.standard = Answer()
        delivery.deliver_due(clock())
        assert look()[3:] == ["💚 Delivery through ntfy has recovered"] * 2
        assert look(hours=5)[3:] == ["💚 Delivery through ntfy has recovered"] * 2

    def test_it_waits_while_no_other_channel_works(self, broken, look, pager, clock):
        channels.save_settings("ntfy", "pager", {}, now=clock(), is_enabled=False)
        assert len(look(hours=3)) == 2
        channels.save_settings("ntfy", "pager", {}, now=clock(), is_enabled=True)
        assert look()[2:] == ["📵 Delivery through ntfy is failing"]

    def test_one_that_recovers_soon_is_not_spoken_of(self, broken, look, ntfy, clock):
        ntfy.standard = Answer()
        delivery.deliver_due(clock.advance(minutes=5))
        assert len(look(hours=5)) == 2

    def test_one_that_is_switched_off_is_not_spoken_of(self, broken, look, clock):
        channels.save_settings("ntfy", "ntfy", {}, now=clock(), is_enabled=False)
        assert len(look(hours=5)) == 2
        assert channels.failing_channels() == ()

    def test_zero_hours_are_never(self, broken, look, clock):
        settings_store.put("channel_failure_hours", 0, now=clock())
        assert len(look(hours=47)) == 2


@pytest.mark.parametrize(("silence", "failure"), [(-1, 0), (0, -1), (10**6, 0)])
def test_limits_that_cannot_be_meant_are_refused(db, clock, silence, failure):
    with pytest.raises(Refused):
        save_group(
            watchdogs.ALARM_LIMITS,
            {"silence_hours": silence, "channel_failure_hours": failure},
            actor=Actor(),
            now=clock(),
        )
