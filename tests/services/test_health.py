"""The health on both databases."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from app.models import Lease, Task
from app.services import health
from app.services.transaction import writing


@pytest.fixture
def settings(settings_of_each_database):
    return settings_of_each_database


def test_a_fresh_installation_is_healthy_and_was_written_to(db, clock):
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


def test_a_column_that_a_new_row_would_miss_is_named(db, clock):
    with db.engine.begin() as connection:
        connection.execute(text("ALTER TABLE leases RENAME COLUMN holder TO owner"))
    assert "leases.holder is missing" in health.inspect_now(clock()).problems[0].text
    assert "leases.owner is unknown and takes no NULL" in health.inspect_now(clock()).problems[0].text


def test_a_row_that_another_holds_is_not_waited_for(db, clock):
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
