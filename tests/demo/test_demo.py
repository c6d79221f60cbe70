"""The demo fills an empty database with consistent figures, and changes no other."""

from datetime import timedelta

import pytest
from factories import BEGAN_AT, make_run
from sqlalchemy import func, select

from app.backups import job_stats, overview
from app.backups.models import Job, Run, RunLog, Server
from app.backups.run_logs import unpack_log
from app.charts import series
from app.core.db.orm import writing
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.demo import fill_demo

pytestmark = pytest.mark.slow

DAYS = timedelta(days=1)


@pytest.fixture
def filled(app, db, clock, shared_applications):
    """A demo with ten days of history."""
    return shared_applications.fill_once(app, "demo", lambda: fill_demo(clock() - 10 * DAYS, clock()))


def test_demo_has_twelve_servers_and_thirty_jobs(filled, db):
    assert (filled.server_count, filled.job_count) == (12, 30)
    stored = [db.session.scalar(select(func.count()).select_from(table)) for table in (Server, Job, Run)]
    assert stored == [12, 30, filled.run_count]


def test_figures_of_the_demo_equal_a_recount(filled, db):
    columns = [column.name for column in Job.__table__.columns]
    jobs = list(db.session.scalars(select(Job)))
    before = [{name: getattr(job, name) for name in columns} for job in jobs]
    days = series.daily_points(visible_server_ids=None)
    with writing() as session:
        for job in jobs:
            job_stats.recompute(session, job)
    assert [{name: getattr(job, name) for name in columns} for job in jobs] == before
    assert series.daily_points(visible_server_ids=None) == days


def test_generated_texts_can_be_read(filled, db):
    packed = db.session.scalars(select(RunLog.packed).limit(1)).one()
    assert unpack_log(packed).messages


def test_demo_is_marked_as_demo(filled):
    assert settings_store.get("demo_data") is True


def test_demo_is_the_same_at_every_call(filled, clock, db):
    summary = overview.overview(clock(), None).summary
    with writing() as session:
        session.query(Server).delete()
    db.session.expunge_all()
    fill_demo(clock() - 10 * DAYS, clock())
    assert overview.overview(clock(), None).summary == summary


def test_database_with_data_is_rejected_and_unchanged(db, clock):
    make_run(began_at=BEGAN_AT)
    with pytest.raises(Refused, check=lambda error: error.status == 409):
        fill_demo(clock() - 10 * DAYS, clock())
    assert db.session.scalar(select(func.count()).select_from(Server)) == 1
    assert settings_store.get("demo_data") is False
