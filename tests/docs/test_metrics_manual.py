"""The manual names every metric."""

from pathlib import Path

from factories import make_run

from app import runtime
from app.sharing import metrics

MANUAL = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()


def test_every_metric_of_the_stored_state_is_in_the_manual(db):
    make_run()
    names = [family.name for family in metrics.collect(runtime.now())]
    assert len(names) > 10
    missing = [
        name for name in names if name not in MANUAL and f"`{name.removeprefix('duplistatus_job')}`" not in MANUAL
    ]
    assert missing == []
