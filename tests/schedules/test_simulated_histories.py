"""Histories of two years, simulated with the schedule tracking of the product: false alarms, and late alarms.

`bench/schedules.py` creates them, and prints the figures of a hundred jobs.
"""

import importlib.util
import random
import sys
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from app.schedules.overdue import TOLERANCES

pytestmark = pytest.mark.slow
BENCH = Path(__file__).parents[2] / "bench" / "schedules.py"
# Goals: false alarms in total, and an alarm within one interval and the grace period.
MOST_FALSE_ALARMS = 3
# Runs of a weekly job are overdue for the default interval until four of them agree, after the manual run.
FOUR = ("weekly+by-hand",)


@pytest.fixture(scope="module")
def simulation():
    spec = importlib.util.spec_from_file_location("bench_schedules", BENCH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


STEADY = [
    "daily",
    "daily+by-hand",
    "daily+moved",
    "daily+by-hand,moved",
    "daily+outages",
    "daily+extra,outages",
    "weekdays+by-hand",
    "weekdays+moved,outages",
    "three-days+outages",
    "twice-a-day",
    "twice-a-day+moved",
    "weekly+by-hand",
    "weekly+outages",
    "every-two-days+outages",
    "monthly",
    "end-of-month",
]


@pytest.mark.parametrize(
    ("kind", "zone"),
    [
        *((kind, "Europe/Berlin") for kind in STEADY),
        ("daily+by-hand", "America/New_York"),
        ("three-days+outages", "Asia/Kolkata"),
    ],
)
def test_steady_jobs_stay_within_the_limits(simulation, kind, zone):
    history, outcome = simulate_kind(simulation, kind, zone)
    assert outcome.false_alarms <= MOST_FALSE_ALARMS + (kind in FOUR)
    assert not outcome.missed
    assert all(delay <= history.interval + TOLERANCES["2h"] for delay in outcome.delays)
    assert outcome.delays or "outages" not in kind


@pytest.mark.parametrize("kind", ["daily+jitter", "weekly+jitter", "every-two-days+jitter"])
def test_jobs_that_vary_by_a_third_of_the_interval_are_rarely_wrong(simulation, kind):
    outcomes = [simulate_kind(simulation, kind, "Europe/Berlin", number) for number in range(4)]
    alarms = sorted(outcome.false_alarms for _, outcome in outcomes)
    assert alarms[2] <= MOST_FALSE_ALARMS
    assert alarms[-1] <= 2 * MOST_FALSE_ALARMS
    assert not any(outcome.missed for _, outcome in outcomes)


@pytest.mark.parametrize("kind", ["daily", "weekdays"])
def test_summer_time_causes_no_alarms_without_any_grace_period(simulation, kind):
    history, _ = simulate_kind(simulation, kind, "Europe/Berlin")
    changes = [run for run in history.begins if (run.month, run.day) in {(3, 30), (3, 31), (10, 26), (10, 27)}]
    assert changes
    with simulation.planning_app("Europe/Berlin").app_context():
        outcome = simulation.simulate(history, "5min", ZoneInfo("Europe/Berlin"))
    assert outcome.false_alarms <= MOST_FALSE_ALARMS


def test_another_zone_of_the_servers_causes_no_alarms_at_clock_changes(simulation):
    history = simulation.make("daily+by-hand", random.Random("elsewhere"), ZoneInfo("Europe/Berlin"))
    with simulation.planning_app("UTC").app_context():
        outcome = simulation.simulate(history, "30min", ZoneInfo("UTC"))
    assert outcome.false_alarms <= MOST_FALSE_ALARMS


def test_a_job_that_stops_is_notified_in_time(simulation):
    history, _ = simulate_kind(simulation, "weekdays+by-hand", "Europe/Berlin")
    stopped = simulation.History(history.interval, history.begins[:200], history.begins[200:])
    with simulation.planning_app("Europe/Berlin").app_context():
        outcome = simulation.simulate(stopped, "2h", ZoneInfo("Europe/Berlin"))
    assert outcome.delays[-1] <= timedelta(hours=4)


def simulate_kind(simulation, kind: str, zone: str, number: int = 0):
    history = simulation.make(kind, random.Random(f"{kind}{number}"), ZoneInfo(zone))
    with simulation.planning_app(zone).app_context():
        return history, simulation.simulate(history, "2h", ZoneInfo(zone))
