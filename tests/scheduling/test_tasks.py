"""Tasks: run, recorded, continued after errors, and done by one process at a time."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from app.audit.log import AuditEntry, record_entry
from app.notifications.models import Delivery
from app.scheduling import control, tasks
from app.scheduling.control import Lease, Task


def row_of(db, name: str) -> Task:
    db.session.commit()
    return db.session.scalars(select(Task).where(Task.name == name).execution_options(populate_existing=True)).one()


@pytest.mark.parametrize("name", tasks.TASKS)
def test_every_task_runs_on_an_empty_database(app, name):
    assert tasks.run_task(app, name).error is None


def test_the_overdue_check_returns_its_figures(app):
    result = tasks.run_task(app, control.OVERDUE_CHECK)
    assert result.message == "Task executed successfully"
    assert result.statistics == {
        "totalBackupConfigs": 0,
        "checkedBackups": 0,
        "overdueBackupsFound": 0,
        "notificationsSent": 0,
    }


def test_the_audit_log_is_cleaned_up_after_the_configured_days(app, db, clock):
    record_entry("login", "auth", now=clock() - timedelta(days=91))
    record_entry("logout", "auth", now=clock() - timedelta(days=89))
    tasks.run_task(app, tasks.AUDIT_CLEANUP)
    db.session.commit()
    actions = set(db.session.scalars(select(AuditEntry.action)))
    assert "login" not in actions
    assert {"logout", "audit_cleanup"} <= actions
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "audit_cleanup")).one()
    assert entry.details["retentionDays"] == 90
    assert entry.username == "system"


def test_each_run_is_recorded(app, db, clock):
    tasks.run_task(app, control.OVERDUE_CHECK)
    row = row_of(db, control.OVERDUE_CHECK)
    assert (row.last_started_at, row.last_error) == (clock(), None)
    assert 0 <= row.last_duration_s < 5


def test_a_failing_task_is_recorded_until_it_works(app, db, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("app.schedules.overdue_check.check_overdue", lambda *_arguments: 1 / 0)
        assert tasks.run_task(app, control.OVERDUE_CHECK).error == "ZeroDivisionError: division by zero"
        assert "ZeroDivisionError" in row_of(db, control.OVERDUE_CHECK).last_error
    tasks.run_task(app, control.OVERDUE_CHECK)
    assert row_of(db, control.OVERDUE_CHECK).last_error is None


def test_an_unknown_task_is_reported(app):
    with pytest.raises(tasks.UnknownTask, match="Unknown task: xyz"):
        tasks.run_task(app, "xyz")


def test_a_tick_is_processed_by_one_process(app, clock, monkeypatch):
    assert tasks.run_tick(app, control.OVERDUE_CHECK) is not None
    monkeypatch.setattr(tasks, "HOLDER", "another process")
    clock.advance(seconds=2)
    assert tasks.run_tick(app, control.OVERDUE_CHECK) is None
    clock.advance(minutes=1)
    assert tasks.run_tick(app, control.OVERDUE_CHECK) is not None


class TestLeases:
    def test_a_lease_is_held_by_one(self, db, clock):
        assert control.take_lease("work", "a", clock())
        assert control.take_lease("work", "a", clock())
        assert not control.take_lease("work", "b", clock())
        assert control.take_lease("other work", "b", clock())

    def test_a_lease_expires_after_its_holder_died(self, db, clock):
        control.take_lease("work", "a", clock())
        assert not control.take_lease("work", "b", clock.advance(minutes=9))
        assert control.take_lease("work", "b", clock.advance(minutes=2))

    def test_a_lost_lease_is_not_extended(self, db, clock):
        control.take_lease("work", "a", clock())
        control.take_lease("work", "b", clock.advance(minutes=11))
        control.set_lease_end("work", "a", clock())
        assert db.session.scalars(select(Lease.holder)).one() == "b"
        assert not control.take_lease("work", "a", clock())

    def test_a_lease_from_before_the_clock_was_set_back_has_expired(self, db, clock):
        control.take_lease("work", "a", clock() + timedelta(days=300))
        assert control.take_lease("work", "b", clock())


def test_retention_removes_old_deliveries(app, db):
    assert "0 old deliveries" in tasks.run_task(app, tasks.RETENTION).message
    assert db.session.scalars(select(Delivery)).all() == []
