"""Logs are packed quickly at first and densely later, without loss."""

import pytest
from sqlalchemy import select

from app.backups.models import Job, Run, RunLog, Server
from app.backups.repairs import LOGS_AT_ONCE, repack_logs
from app.backups.run_logs import is_packed_quickly, pack_log_quickly, unpack_log
from app.core.db.orm import writing


@pytest.fixture
def store(db, clock):
    """Store runs with quickly packed logs of given messages."""

    def store_logs(*messages: str) -> None:
        with writing() as session:
            server = session.get(Server, "s") or Server(id="s", name="s", created_at=clock())
            job = session.scalar(select(Job)) or Job(server=server, name="j", created_at=clock())
            session.add(job)
            for message in messages:
                moment = clock.advance(seconds=1)
                run = Run(
                    id=f"{moment.timestamp():032.0f}",
                    began_at=moment,
                    ended_at=moment,
                    received_at=moment,
                    duration_s=0.0,
                    status="Success",
                    parsed_result="Success",
                )
                session.flush()
                run.job_id = job.id
                session.add(run)
                session.flush()
                session.add(RunLog(run_row_id=run.row_id, packed=pack_log_quickly([message], ["w"], [])))

    return store_logs


def _logs(db):
    db.session.expire_all()
    return db.session.scalars(select(RunLog.packed).order_by(RunLog.run_row_id)).all()


def test_texts_survive_compaction(store, db, clock):
    store("first", "zweite ü")
    assert repack_logs(clock()) == 2
    assert [unpack_log(packed).messages for packed in _logs(db)] == [("first",), ("zweite ü",)]
    assert not any(is_packed_quickly(packed) for packed in _logs(db))


def test_dense_logs_are_not_packed_again(store, db, clock):
    store("first")
    repack_logs(clock())
    assert repack_logs(clock()) == 0
    store("second")
    assert repack_logs(clock()) == 1


def test_more_than_one_batch_is_packed(store, db, clock):
    store(*(f"message {number}" for number in range(LOGS_AT_ONCE + 3)))
    assert repack_logs(clock()) == LOGS_AT_ONCE + 3
    assert [unpack_log(packed).messages[0] for packed in _logs(db)][-1] == f"message {LOGS_AT_ONCE + 2}"
