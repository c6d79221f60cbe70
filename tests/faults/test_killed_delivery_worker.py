"""A delivery worker that is killed repeatedly while it sends, to a server that fails one time in five.

The full test is `KILLS=50 EVENTS=500 pytest tests/faults/test_killed_delivery_worker.py -s`.
"""

import os
import random
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from factories import make_run
from sqlalchemy import select

from app.notifications import channels
from app.notifications.delivery import CLAIM
from app.notifications.models import Delivery, DeliveryState
from app.plugin.testing.http_servers import Answer, RecordingServer, recording_server

pytestmark = pytest.mark.slow

EVENTS, KILLS = int(os.environ.get("EVENTS", "30")), int(os.environ.get("KILLS", "3"))
FAILING_SHARE = 0.2
TAKEN, BUSY = Answer(delay_s=0.004), Answer(503, delay_s=0.004)
ROOT = Path(__file__).resolve().parents[2]
# A delivery worker whose clock advances a minute from pass to pass, until nothing is pending.
WORKER = """
import sys
from datetime import datetime, timedelta
from pathlib import Path
from sqlalchemy import func, select
from app.core.db.orm import db
from app.factory import create_app
from app.config import Settings
from app.notifications import delivery
from app.notifications.models import Delivery

app = create_app(Settings(data_dir=Path(sys.argv[1]), run_jobs=False, testing=True))
now = datetime.fromisoformat(sys.argv[2])
with app.app_context():
    while db.session.scalar(select(func.count()).where(Delivery.state.in_(("queued", "sending")))):
        delivery.deliver_due(now)
        now += timedelta(minutes=1)
        print(now.isoformat(), flush=True)
"""


@pytest.fixture
def deliveries(db):
    """Read all deliveries from the database."""

    def read() -> list[Delivery]:
        db.session.commit()
        return list(db.session.scalars(select(Delivery).execution_options(populate_existing=True)))

    return read


def run_worker(data_dir: Path, now: datetime, server: RecordingServer, *, requests: int | None = None) -> datetime:
    """Run it until nothing is pending, or kill it after so many requests; return the time of its clock."""
    began_with = len(server.received)
    command = [sys.executable, "-c", WORKER, str(data_dir), now.isoformat()]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        if requests is not None:
            server.wait_for(began_with + requests, timeout_s=300)
            process.kill()
        lines = process.communicate(timeout=600)[0].split()
    return datetime.fromisoformat(lines[-1]) if lines else now


def test_every_event_arrives_and_repeats_have_the_same_key(settings, db, clock, deliveries, capsys):
    chance = random.Random(5)
    with recording_server() as server:
        server.answers = drawn = [BUSY if chance.random() < FAILING_SHARE else TAKEN for _ in range(20 * EVENTS)]
        answers, claimed_count = list(drawn), 0
        channels.save_settings("webhook", "hook", {"url": server.url}, now=clock())
        channels.save_settings("ntfy", "ntfy", {}, now=clock(), is_enabled=False)
        for number in range(EVENTS):
            make_run(now=clock(), job_name=f"job {number}", status="Error")
        now = clock()
        for _ in range(KILLS):
            # Some five failures would end a pass, and a pass is a minute.
            now = run_worker(settings.data_dir, now, server, requests=chance.randint(1, EVENTS // KILLS))
            claimed_count += sum(row.state == DeliveryState.SENDING for row in deliveries())
            now += CLAIM + timedelta(minutes=1)
        run_worker(settings.data_dir, now, server)
        received = list(server.received)
    assert {row.state for row in deliveries()} == {DeliveryState.DELIVERED}
    keys = defaultdict(set)
    for request in received:
        keys[request.json["job"]].add(request.headers["idempotency-key"])
    assert {len(found) for found in keys.values()} == {1}
    arrivals = Counter(
        request.json["job"] for request, answer in zip(received, answers, strict=False) if answer is TAKEN
    )
    assert len(arrivals) == EVENTS
    doubled = arrivals.total() - EVENTS
    assert doubled <= claimed_count
    with capsys.disabled():
        figures = f"{EVENTS} events, {KILLS} kills, {len(received)} requests: all arrived, {doubled} of them twice"
        print(f" [{figures}; {claimed_count} were on their way when a kill fell]", end="")  # noqa: T201
