"""The health on both databases."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from app.core.db.orm import writing
from app.database import health
from app.scheduling.control import Lease, Task

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(settings_of_each_database):
    return settings_of_each_database


def test_a_fresh_installation_is_healthy_and_writable(db, clock):
    assert health.inspect_now(clock()).problems == ()
    assert health.inspect_now(clock.advance(minutes=1)).is_healthy
    db.session.commit()
    lease = db.session.get(Lease, health.PROBE)
    assert lease.expires_at == clock()


def test_a_missing_column_is_named(db, clock):
    with db.engine.begin() as connection:
        connection.execute(text("ALTER TABLE jobs DROP COLUMN growth_bytes"))
    found = health.inspect_now(clock())
    assert (found.reason, found.can_write) == ("schema_differs", True)
    assert found.problems[0].text == "jobs.growth_bytes is missing"


def test_an_additional_column_without_default_is_named(db, clock):
    with db.engine.begin() as connection:
        connection.execute(text("ALTER TABLE leases RENAME COLUMN holder TO owner"))
    assert "leases.holder is missing" in health.inspect_now(clock()).problems[0].text
    assert "leases.owner is unknown and NOT NULL" in health.inspect_now(clock()).problems[0].text


def test_a_locked_row_is_not_waited_for(db, clock):
    health.inspect_now(clock())
    with db.engine.connect() as other:
        if other.dialect.name == "sqlite":
            other.execution_options(writes=True)
        other.execute(text("UPDATE leases SET holder = 'x'"))
        found = health.inspect_now(clock())
        other.rollback()
    assert (found.reason, found.can_write) == ("database_locked", False)


def test_a_check_of_another_process_counts(db, clock):
    with writing() as session:
        session.add(Task(name="overdue-backup-check", last_started_at=clock() - timedelta(minutes=16)))
    assert health.inspect_now(clock()).reason == "overdue_check_late"


def test_a_database_server_that_rejects_connections(postgres_server, app, settings, clock):
    if not settings.database_url:
        pytest.skip("SQLite has no server")
    name = settings.database_url.partition("?")[0].rpartition("/")[2]
    with app.app_context():
        assert health.examine(clock()).is_healthy
    postgres_server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    postgres_server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    with app.app_context():
        found = health.examine(clock.advance(minutes=1))
    assert (found.is_connected, found.reason) == (False, "database_unreachable")
    answer = app.test_client().get("/api/health")
    assert (answer.status_code, answer.get_json()["status"]) == (503, "unhealthy")
    postgres_server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    with app.app_context():
        assert health.examine(clock.advance(minutes=1)).is_healthy
