#!/usr/bin/env python
"""Count the files of ours that three paths pass through: an upload to a notification, a page, saving one schedule.

Prints one row per path. `--files` lists the files, `--functions` the functions. Counted by `sys.setprofile`, with
everything loaded and warm.
"""

import html
import os
import re
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app import runtime  # noqa: E402
from app.config import Settings  # noqa: E402
from app.factory import close_app, create_app  # noqa: E402
from app.notifications import channels, delivery  # noqa: E402
from app.plugin.testing.applications import Visitor  # noqa: E402
from app.plugin.testing.http_servers import recording_server  # noqa: E402
from app.registry import discover  # noqa: E402

PASSWORD = "Correct7Horse"
OURS = (str(ROOT / "app") + os.sep, str(ROOT / "plugins") + os.sep)
# The server that stands for ntfy, and the client.
TESTING = str(ROOT / "app" / "plugin" / "testing") + os.sep


def count(call: Callable[[], Any]) -> tuple[Counter[str], Counter[str]]:
    """Run a function; return how often each file and each function of ours was called."""
    files: Counter[str] = Counter()
    functions: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(OURS) and not name.startswith(TESTING):
            files[str(Path(name).relative_to(ROOT))] += 1
            functions[f"{name}:{frame.f_code.co_qualname}"] += 1

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return files, functions


def report(number: int) -> dict[str, Any]:
    """Return a report of a failed run as Duplicati posts it."""
    began_at = datetime.now(UTC) - timedelta(days=3, minutes=-10 * number)
    return {
        "Data": {
            "MainOperation": "Backup",
            "ParsedResult": "Error",
            "BeginTime": began_at.isoformat(),
            "EndTime": (began_at + timedelta(minutes=1)).isoformat(),
            "Duration": "00:01:00",
            "ExaminedFiles": 5,
            "SizeOfExaminedFiles": 5000,
            "Errors": ["2031-05-04 10:00:00 +00 - [Error-Duplicati.Library.Main.Controller]: Failed"],
        },
        "Extra": {
            "OperationName": "Backup",
            "machine-id": "one",
            "machine-name": "nas",
            "backup-name": "Documents",
            "backup-id": "DB-1",
        },
    }


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder, recording_server() as server:
        app = create_app(
            Settings(data_dir=Path(folder), admin_password=PASSWORD, run_jobs=False, testing=True), discover()
        )
        app.test_client_class = Visitor
        client = app.test_client()
        with app.app_context():
            channels.save_settings(
                "ntfy", "ntfy", {"url": server.url, "topic": "main", "token": ""}, now=datetime.now(UTC)
            )
        client.sign_in("admin", PASSWORD)

        def upload(number: int) -> Callable[[], None]:
            return lambda: check(client.post("/api/upload", json=report(number)))

        def deliver() -> None:
            with app.app_context():
                delivery.deliver_due(runtime.now())

        def save() -> None:
            changed = {"nas:Documents": {"expectedInterval": intervals.pop()}}
            answer = client.post(
                "/api/configuration/backup-settings", json={"backupSettings": changed}, headers=client.csrf_headers()
            )
            check(answer)

        intervals = ["3D", "2D"]
        for number in range(3):
            upload(number)()
            deliver()
        rows = {"upload (failed run), to its answer": count(upload(3)), "outbox to ntfy": count(deliver)}
        both = tuple(a + b for a, b in zip(*rows.values(), strict=True))
        rows["both"] = both  # type: ignore[assignment]
        page = lambda: check(client.get("/"))  # noqa: E731
        page()
        upload(4)()
        rows["dashboard"] = count(page)
        save_in_ui(client, "5")()
        rows["save one schedule in the UI"] = count(save_in_ui(client, "6"))
        save()
        rows["the same by the API"] = count(save)
        print(f"{'path':38} files functions calls")
        for name, (files, functions) in rows.items():
            print(f"{name:38} {len(files):5} {len(functions):9} {sum(files.values()):5}")
            if "--files" in sys.argv:
                print("   " + " ".join(f"{file}({calls})" for file, calls in sorted(files.items())))
            if "--functions" in sys.argv:
                for function, calls in sorted(functions.items()):
                    print(f"   {calls:5} {function.removeprefix(str(ROOT))}")
        assert len(server.received) >= 4
        close_app(app)


def check(answer: Any) -> None:
    """Fail for an answer that is an error."""
    assert answer.status_code < 400, (answer.status_code, answer.text[:500])


def save_in_ui(client: Visitor, amount: str) -> Callable[[], None]:
    """Return a function that sends the form of the schedule of the job, as its dialog does."""
    address = "/detail/one/schedule"
    text = client.get(f"{address}?backup=Documents").text
    [state] = re.findall(r'name="was" value="([^"]*)"', text)
    [csrf_token] = set(re.findall(r'name="csrf_token" value="([^"]*)"', text))
    days = {"day.job": re.findall(r'name="day.job" value="(\d+)"', text)}
    data = {"csrf_token": csrf_token, "back": "/", "backup": "Documents", "was": html.unescape(state), "on.job": "1"}
    data |= days | {"count.job": amount, "unit.job": "D", "tolerance.job": "", "do": "save"}
    return lambda: check(client.post(address, data=data))


if __name__ == "__main__":
    main()
