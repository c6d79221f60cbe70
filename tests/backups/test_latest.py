"""The newest run of each job of a server, found by id or by name."""

from datetime import timedelta

import pytest
from factories import BEGAN_AT, make_run

from app.backups import run_lists
from app.backups.models import RunLog, Server
from app.backups.run_lists import AmbiguousName, UnknownServer
from app.core.db.orm import writing

HOUR = timedelta(hours=1)


@pytest.fixture
def settings(settings_of_each_database):
    """Every test here runs on SQLite and on PostgreSQL."""
    return settings_of_each_database


def test_newest_run_of_each_job_newest_first(db):
    make_run(job_name="a")
    make_run(job_name="b", began_at=BEGAN_AT + HOUR)
    newest_of_a = make_run(job_name="a", began_at=BEGAN_AT + 2 * HOUR).id
    make_run(job_name="b", began_at=BEGAN_AT - HOUR)
    _, found = run_lists.newest_of_server("machine-1")
    assert [(one.job_name, one.run.began_at) for one in found] == [
        ("a", BEGAN_AT + 2 * HOUR),
        ("b", BEGAN_AT + HOUR),
    ]
    assert found[0].run.id == newest_of_a


def test_texts_are_included(db):
    make_run(errors=("no room",))
    assert list(run_lists.newest_of_server("machine-1")[1][0].log.errors) == ["no room"]


def test_run_with_deleted_texts_has_empty_ones(db):
    make_run(errors=("no room",))
    with writing() as session:
        session.query(RunLog).delete()
    assert list(run_lists.newest_of_server("machine-1")[1][0].log.errors) == []


def test_id_takes_precedence_over_a_name(db):
    make_run(server_id="m-1", server_name="m-2")
    make_run(server_id="m-2", server_name="other")
    assert run_lists.newest_of_server("m-2")[0].name == "other"


def test_server_is_found_by_its_exact_name(db):
    make_run(server_name="Attic")
    assert run_lists.newest_of_server("Attic")[0].id == "machine-1"
    with pytest.raises(UnknownServer):
        run_lists.newest_of_server("attic")


def test_alias_is_not_matched(db):
    make_run()
    with writing() as session:
        session.get(Server, "machine-1").alias = "cellar"
    with pytest.raises(UnknownServer):
        run_lists.newest_of_server("cellar")


def test_ambiguous_name_is_rejected_with_the_ids(db):
    make_run(server_id="m-1")
    make_run(server_id="m-2")
    with pytest.raises(AmbiguousName) as raised:
        run_lists.newest_of_server("nas")
    assert [one["id"] for one in raised.value.extra["duplicate_servers"]] == ["m-1", "m-2"]


def test_server_without_runs_has_none(db):
    with writing() as session:
        session.add(Server(id="m-9", name="new", created_at=BEGAN_AT))
    assert run_lists.newest_of_server("new")[1] == []
