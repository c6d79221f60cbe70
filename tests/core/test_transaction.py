"""Transactions: a commit at the end, nothing after an error, one writer at a time."""

import threading
from contextlib import suppress

import pytest
from factories import BEGAN_AT
from sqlalchemy import func, select, text

from app.backups.models import Server
from app.core.db.orm import writing


@pytest.fixture
def settings(settings_of_each_database):
    """Every test here runs on SQLite and on PostgreSQL."""
    return settings_of_each_database


def add(session, server_id: str) -> None:
    session.add(Server(id=server_id, name=server_id, created_at=BEGAN_AT))


def stored(db) -> list[str]:
    with db.engine.connect() as other:
        return list(other.scalars(select(Server.id).order_by(Server.id)))


def test_writes_are_committed_at_the_end(db):
    with writing() as session:
        add(session, "a")
        session.flush()
        assert stored(db) == []
    assert stored(db) == ["a"]


def test_error_rolls_everything_back(db):
    with suppress(RuntimeError), writing() as session:
        add(session, "a")
        session.flush()
        raise RuntimeError
    assert stored(db) == []


def test_inner_block_is_committed_by_the_outer_one(db):
    with writing():
        with writing() as session:
            add(session, "a")
        assert stored(db) == []
    assert stored(db) == ["a"]


def test_error_in_the_outer_block_undoes_the_inner_one(db):
    def write():
        with writing() as session:
            add(session, "a")

    with suppress(RuntimeError), writing():
        write()
        raise RuntimeError
    assert stored(db) == []


def test_session_may_write_again_after_an_error(db):
    with suppress(RuntimeError), writing():
        raise RuntimeError
    with writing() as session:
        add(session, "a")
    assert stored(db) == ["a"]


def test_reader_may_become_a_writer(db):
    assert db.session.scalar(select(func.count()).select_from(Server)) == 0
    with writing() as session:
        add(session, "a")
    assert stored(db) == ["a"]


def test_concurrent_changes_by_many_threads_are_not_lost(app, db):
    with writing() as session:
        add(session, "a")
        session.execute(text("UPDATE servers SET note = '0'"))

    def count_up():
        with app.app_context():
            for _ in range(10):
                with writing() as session:
                    server = session.scalars(select(Server).with_for_update()).one()
                    server.note = str(int(server.note) + 1)
                db.session.remove()

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert db.session.scalar(select(Server.note)) == "40"


def test_error_reaches_the_caller(db):
    error = RuntimeError()
    with pytest.raises(RuntimeError) as raised, writing():
        raise error
    assert raised.value is error
