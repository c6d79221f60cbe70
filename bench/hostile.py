"""Measures honest reports alone, and beside slow connections and hostile bodies.

    python bench/hostile.py

Each hostile body is as large as a report may be. The aim: the 99th percentile is at most three times that of honest
senders alone, and no report is lost.
"""

import resource
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from hostile_bodies import hostile_bodies  # noqa: E402
from hostile_load import Load, run_load  # noqa: E402
from real_server import real_server  # noqa: E402

SIZES = (1024 * 1024, 16 * 1024 * 1024 - 8192)
SECONDS = 30.0


def main() -> None:
    """Measure and print."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with tempfile.TemporaryDirectory() as folder, real_server(Path(folder)) as server:
        alone = run_load(server.port, seconds / 3)
        show("alone", alone, alone)
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder, real_server(Path(folder)) as server:
            beside = run_load(server.port, seconds, list(hostile_bodies(size)))
            show(f"beside bodies of {size / 1024 / 1024:.0f} MiB", beside, alone)


def show(name: str, load: Load, alone: Load) -> None:
    """Print one line."""
    p50, p99, worst = (1000 * load.percentile_s(share) for share in (0.5, 0.99, 1.0))
    ratio = load.percentile_s(0.99) / alone.percentile_s(0.99)
    print(
        f"{name:26} {len(load.honest_s):6} reports  p50 {p50:6.1f} ms  p99 {p99:7.1f} ms ({ratio:.2f} x)  "
        f"worst {worst:7.1f} ms  answers {dict(load.statuses)}  hostile {dict(load.hostile_statuses)}  "
        f"ping worst {1000 * max(load.asked_s, default=0):.0f} ms  "
        f"client {resource.getrusage(resource.RUSAGE_SELF).ru_utime:.1f} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
