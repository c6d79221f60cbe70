"""Pings to an external monitor: sent while everything works, on time, by one process, without blocking."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from app.audit.log import Actor, AuditEntry
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.core.settings.store import StoredSetting
from app.database import external_monitor, health, secrets
from app.database.health import Health, Problem
from app.plugin.testing.http_servers import Answer, recording_server
from app.scheduling import background, tasks

pytestmark = pytest.mark.slow

PUSH, EXTERNAL = "/api/push/aB3", "/api/v1/endpoints/core_x/external"
PING = "/ping/5bd7a35c-6f5c-4b4e-9d0e-2d0a0f6b1c11"
WELL = Health(True, True, True, True)
ILL = replace(WELL, problems=(Problem("disk_full", "database or disk is full"),))


@pytest.fixture
def service():
    with recording_server() as server:
        yield server


@pytest.fixture
def monitor(db, clock, service):
    """Choose a monitor at the fake server."""

    def choose(path: str = PING, **changes):
        wanted = {"is_enabled": True, "url": service.url + path, **changes}
        return external_monitor.save(wanted, actor=Actor(), now=clock())

    return choose


@pytest.fixture
def set_health(monkeypatch):
    """Set the result of the health check."""

    def set_result(found: Health) -> None:
        monkeypatch.setattr(health, "examine", lambda _now: found)

    return set_result


def requests(service) -> list[str]:
    return [f"{request.method} {request.path}" for request in service.received]


def test_monitor_is_off_by_default_and_not_scheduled(app, db, clock, service):
    assert external_monitor.ping_if_due(clock()) is None
    background.start_jobs(app)
    try:
        assert tasks.MONITOR_PING not in background.jobs_of(app).schedule.active_tasks()
        external_monitor.save({"is_enabled": True, "url": service.url}, actor=Actor(), now=clock())
        background.jobs_of(app).schedule.reload()
        assert tasks.MONITOR_PING in background.jobs_of(app).schedule.active_tasks()
    finally:
        background.stop_jobs(app)


def test_monitor_is_pinged_at_its_interval(app, monitor, clock, service):
    monitor(every_minutes=3)
    for _ in range(7):
        tasks.run_tick(app, tasks.MONITOR_PING)
        clock.advance(minutes=1)
    assert requests(service) == [f"GET {PING}"] * 3
    result = external_monitor.last_ping()
    assert (result.good_at, result.error, result.reason) == (clock.advance(minutes=-1), "", "")


def test_several_processes_ping_once(app, monitor, clock, service, monkeypatch):
    monitor()
    for holder in ("one", "two", "three"):
        monkeypatch.setattr(tasks, "HOLDER", holder)
        tasks.run_tick(app, tasks.MONITOR_PING)
    assert len(service.received) == 1


def test_a_failed_ping_is_retried_a_minute_later(app, monitor, clock, service):
    monitor(every_minutes=60)
    service.answers = [Answer(500)]
    assert tasks.run_task(app, tasks.MONITOR_PING).error is None
    assert external_monitor.last_ping().error == "the server returned status 500"
    clock.advance(minutes=1)
    tasks.run_task(app, tasks.MONITOR_PING)
    assert external_monitor.last_ping() == external_monitor.PingResult(clock(), clock())


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (PING, [f"POST {PING}/fail"]),
        (PUSH, [f"GET {PUSH}?status=down&msg=disk_full&ping="]),
        (EXTERNAL, [f"POST {EXTERNAL}?success=false&error=disk_full"]),
        ("/anything", []),
    ],
)
def test_bad_health_is_reported_if_the_service_supports_it(monitor, clock, service, set_health, path, expected):
    monitor(path)
    set_health(ILL)
    result = external_monitor.ping_if_due(clock())
    assert requests(service) == expected
    assert (result.good_at, result.reason, result.error) == (None, "disk_full", "")
    assert external_monitor.ping_if_due(clock.advance(minutes=1)) is None


def test_the_last_successful_ping_is_stored(monitor, clock, set_health):
    monitor()
    good_at = clock()
    set_health(WELL)
    external_monitor.ping_if_due(good_at)
    set_health(ILL)
    assert external_monitor.ping_if_due(clock.advance(minutes=5)).good_at == good_at


def test_the_service_may_be_chosen(monitor, clock, service, set_health):
    monitor("/behind/a/proxy", service="healthchecks")
    set_health(ILL)
    external_monitor.ping_if_due(clock())
    assert requests(service) == ["POST /behind/a/proxy/fail"]
    assert service.received[0].text == "disk_full"


class TestToken:
    def test_it_is_sent_and_stored_encrypted(self, db, monitor, clock, service):
        monitor(EXTERNAL, token="topsecret")
        external_monitor.ping_now(clock())
        assert service.received[0].headers["authorization"] == "Bearer topsecret"
        stored = str([row.value for row in db.session.scalars(select(StoredSetting))])
        entries = str([row.details for row in db.session.scalars(select(AuditEntry))])
        assert "topsecret" not in stored + entries
        assert PING not in entries

    def test_token_stays_with_its_server(self, monitor, clock):
        monitor(EXTERNAL, token="topsecret")
        assert monitor(EXTERNAL, every_minutes=9) is False
        assert external_monitor.read().has_token
        assert monitor("", url="http://127.0.0.1:9/other") is True
        assert not external_monitor.read().has_token

    def test_undecryptable_token_is_reported(self, monitor, clock, settings, service):
        monitor(EXTERNAL, token="topsecret")
        path = settings.data_dir / secrets.KEY_FILE
        path.chmod(0o600)
        path.write_bytes(b"k" * 32)
        assert "another master key" in external_monitor.ping_now(clock()).error
        assert service.received == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"url": "http://169.254.169.254/latest"}, "url"),
        ({"url": "ftp://example.org/x"}, "url"),
        ({"url": ""}, "url"),
        ({"url": "http://127.0.0.1/" + "x" * 2000}, "url"),
        ({"every_minutes": 0}, "every_minutes"),
        ({"every_minutes": 1441}, "every_minutes"),
        ({"service": "pingdom"}, "service"),
    ],
)
def test_an_invalid_value_is_rejected_with_its_field(monitor, changes, field):
    with pytest.raises(Refused) as raised:
        monitor(**changes)
    assert raised.value.field == field


class TestConnectionErrors:
    def test_redirects_are_not_followed(self, monitor, clock, service):
        monitor()
        service.answers = [Answer(302, headers={"Location": service.url + "/elsewhere"})]
        assert external_monitor.ping_now(clock()).error == "the server returned status 302"
        assert len(service.received) == 1

    def test_closed_port_is_reported(self, monitor, clock):
        monitor(url="http://127.0.0.1:9/secret-part")
        error = external_monitor.ping_now(clock()).error
        assert (error, "secret" in error) == ("no connection to the server", False)

    def test_a_timeout_of_the_server_is_reported(self, monitor, clock, service, monkeypatch):
        monkeypatch.setattr(external_monitor, "TIMEOUT_S", 0.2)
        service.answers = [Answer(delay_s=1.0)]
        monitor()
        assert external_monitor.ping_now(clock()).error == "no answer within 0.2 seconds"

    def test_settings_of_a_wrong_type_are_ignored(self, db, clock):
        for stored in (
            ["x"],
            {"url": 5, "every_minutes": "x", "service": [], "token": {}, "is_enabled": "yes"},
            "x",
            7,
        ):
            settings_store.put("external_monitor", stored, now=clock())
            settings_store.put("external_monitor_ping", stored, now=clock())
            assert external_monitor.read() == external_monitor.ExternalMonitor()
            assert external_monitor.ping_if_due(clock()) is None
