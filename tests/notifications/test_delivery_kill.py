"""A process killed while it sends loses nothing, and only repeats messages with the same key."""

import os
import signal
import subprocess
import sys
from collections import Counter

import pytest

from app.notifications import delivery
from app.notifications.delivery import CLAIM
from app.plugin.testing.http_servers import Answer

MESSAGES = 12
WORKER = """
import sys
from datetime import datetime
from pathlib import Path
from app.factory import create_app
from app.config import Settings
from app.notifications import delivery

app = create_app(Settings(data_dir=Path(sys.argv[1]), run_jobs=False, testing=True))
with app.app_context():
    delivery.deliver_due(datetime.fromisoformat(sys.argv[2]))
"""


@pytest.mark.slow
def test_a_killed_delivery_worker_loses_nothing(settings, clock, ingest, ntfy_channel, ntfy, deliveries):
    for number in range(MESSAGES):
        ingest(status="Error", job_name=f"job {number}")
    ntfy.standard = Answer(delay_s=0.1)
    process = subprocess.Popen([sys.executable, "-c", WORKER, str(settings.data_dir), clock().isoformat()])
    ntfy.wait_for(5, timeout_s=30)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    states = Counter(row.state for row in deliveries())
    assert states["sending"] > 0
    assert states.total() == MESSAGES
    sent_before = len(ntfy.received)
    clock.advance(seconds=CLAIM.total_seconds() + 10)
    delivery.deliver_due(clock())
    assert {row.state for row in deliveries()} == {"delivered"}
    keys_by_title: dict[str, set[str]] = {}
    # The one whose sender was killed may have arrived without its body.
    whole = [request for request in ntfy.received if request.body]
    for request in whole:
        keys_by_title.setdefault(request.json["title"], set()).add(request.json["sequence_id"])
    assert len(keys_by_title) == MESSAGES
    assert all(len(keys) == 1 for keys in keys_by_title.values())
    assert len(whole) - MESSAGES <= states["sending"] <= sent_before
