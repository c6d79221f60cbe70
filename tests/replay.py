"""Replay recorded HTTP exchanges against a freshly started server, and compare its responses with the recorded ones.

    python tests/replay.py record URL SCENARIO.json GOLDEN.json    record the responses of the server at URL
    python tests/replay.py check  URL SCENARIO.json GOLDEN.json    compare; exit 0 only if every step agrees

The format of both files, and what is compared, is described in `tests/data/conformance/README.md`.
"""

import http.client
import http.cookies
import json
import re
import sys
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
HEX = re.compile(r"\b[0-9a-f]{32,}\b", re.IGNORECASE)
INSTANT = re.compile(r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?$")
DAY = re.compile(r"^(?:(?P<d>\d\d)/(?P<m>\d\d)/(?P<y>\d{4})|(?P<iso>\d{4}-\d\d-\d\d))$")
PLACEHOLDER = re.compile(r"\{\{([^}]*)\}\}")
MESSAGE_KEYS = {"error", "message", "details"}
# Times further away than this are not relative to the start of a run.
NEAR = timedelta(days=400)
SLACK_MINUTES = 2
# The recording took that long: what the scenario creates last is recorded so many minutes after its start.
RECORDING_MINUTES = 8
# Close to midnight UTC the runs of a scenario are on other days than when it was recorded.
HOURS_OF_WHOLE_DAYS = range(5, 21)


@dataclass
class Replay:
    """One pass through a scenario: the cookies of each user, the values saved so far, and when it began."""

    url: str
    absolute: bool = False
    start: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    cookies: dict[str, dict[str, str]] = field(default_factory=dict)
    saved: dict[str, str] = field(default_factory=dict)

    def send(self, step: dict[str, Any]) -> tuple[int, Any]:
        """Send the request of a step; return the status and the normalized body."""
        user, method = step.get("as", "anon"), step.get("method", "GET")
        headers = self._fill(dict(step.get("headers", {})))
        body = None
        if "json" in step:
            body = json.dumps(self._fill(step["json"])).encode()
            headers.setdefault("Content-Type", "application/json")
        elif "raw" in step:
            body = self._fill(step["raw"]).encode()
        if user != "anon" and method != "GET" and step.get("csrf", True):
            _, token = self._request(user, "GET", "/api/csrf")
            headers["X-CSRF-Token"] = (token or {}).get("token", "")
        path = self._fill(step["path"])
        if query := self._fill(step.get("query")):
            path += "?" + urllib.parse.urlencode(query)
        status, answer = self._request(user, method, path, body, headers)
        self.saved |= {name: str(value_at(answer, where)) for name, where in step.get("save", {}).items()}
        return status, self._normalize(answer)

    def _request(
        self, user: str, method: str, target: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        address = urllib.parse.urlsplit(self.url)
        jar = {} if user == "anon" else self.cookies.setdefault(user, {})
        head = {"User-Agent": "wire/1", "Accept": "application/json"}
        if jar:
            head["Cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
        connection = http.client.HTTPConnection(address.hostname or "", address.port or 80, timeout=60)
        connection.request(method, target, body=body, headers=head | (headers or {}))
        answer = connection.getresponse()
        raw = answer.read()
        connection.close()
        for line in answer.headers.get_all("Set-Cookie") or []:
            store_cookies(jar, line)
        try:
            return answer.status, json.loads(raw) if raw else None
        except ValueError:
            return answer.status, {"<not json>": answer.headers.get_content_type()}

    def _fill(self, value: Any) -> Any:
        """Replace `{{var:NAME}}`, `{{iso:SECONDS}}` and `{{path:TEXT}}` in all texts of a value."""
        if isinstance(value, dict):
            return {self._fill(key): self._fill(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._fill(inner) for inner in value]
        return PLACEHOLDER.sub(self._replacement, value) if isinstance(value, str) else value

    def _replacement(self, match: re.Match[str]) -> str:
        kind, _, argument = match[1].partition(":")
        if kind == "var":
            return self.saved.get(argument, f"unset-{argument}")
        if kind == "iso":
            return (self.start + timedelta(seconds=int(argument))).strftime("%Y-%m-%dT%H:%M:%SZ")
        if kind == "path":
            return urllib.parse.quote(argument, safe="")
        raise ValueError(match[0])

    def _normalize(self, value: Any) -> Any:
        """Replace what differs from run to run: times, UUIDs, tokens and saved values."""
        if isinstance(value, dict):
            return {self._normalize_text(key): self._normalize(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._normalize(inner) for inner in value]
        if not isinstance(value, str):
            return value
        if value[:1] in "[{" and len(value) > 1:
            try:
                return {"<json text>": self._normalize(json.loads(value))}
            except ValueError:
                pass
        if not self.absolute and INSTANT.match(value):
            instant = datetime.fromisoformat(value)
            instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
            if abs(instant - self.start) < NEAR:
                return f"@{round((instant - self.start).total_seconds() / 60)}"
        return self._normalize_text(value)

    def _normalize_text(self, text: str) -> str:
        for name, value in self.saved.items():
            if len(value) > 8:
                text = text.replace(value, f"<{name}>")
        return HEX.sub("<token>", UUID.sub("<uuid>", text))


def store_cookies(jar: dict[str, str], header: str) -> None:
    for name, morsel in http.cookies.SimpleCookie(header).items():
        if morsel.value == "" or morsel["max-age"] == "0":
            jar.pop(name, None)
        else:
            jar[name] = morsel.value


def value_at(value: Any, path: str) -> Any:
    """Return the value at a dotted path, or None if there is none."""
    for key in path.split("."):
        try:
            value = value[int(key)] if isinstance(value, list) else value[key]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return value


class Comparison:
    """Compares the responses of one pass with the recorded ones."""

    def __init__(self, golden: dict[str, Any], replay: Replay) -> None:
        self.golden = {name: answer for name, answer in golden.items() if name != "_recorded"}
        self.recorded_on = date.fromisoformat(golden["_recorded"]) if "_recorded" in golden else None
        self.replay = replay
        # Minutes between the recording and this pass: only the day of the recording is known, so the first date that
        # the scenario names unchanged determines them.
        self.shift: int | None = None

    def differences(self, step: dict[str, Any], status: int, body: Any) -> list[str]:
        """Return a line for each difference of the response to a step from the recorded one."""
        recorded = self.golden[step["name"]]
        if status != recorded["status"]:
            if status not in step.get("better", []):
                return [f"status: recorded {recorded['status']}, got {status}"]
            return [] if isinstance(body, dict) and (status < 400 or body.get("error")) else ["body: no error text"]
        wanted, got = recorded["body"], body
        if self.recorded_on and not self.replay.absolute:
            wanted, got = in_days(wanted, self.recorded_on), in_days(got, self.replay.start.date())
        has_days = wanted != recorded["body"]
        if step.get("soft") or (has_days and self.replay.start.hour not in HOURS_OF_WHOLE_DAYS):
            return [] if type(wanted) is type(got) else ["body: another JSON type"]
        return list(self._differ(wanted, got, "", step.get("skip", [])))

    def _differ(self, wanted: Any, got: Any, path: str, skip: list[str]) -> Iterator[str]:
        if path and is_skipped(path, skip):
            return
        key = path.rsplit(".", 1)[-1]
        if key.endswith("_array"):  # the original sends JSON text or null, its API overview promises arrays
            wanted, got = as_array(wanted), as_array(got)
        if isinstance(wanted, bool) or isinstance(got, bool) or wanted is None or got is None:
            if wanted is not got:
                yield f"{path}: recorded {wanted!r}, got {str(got)[:80]!r}"
        elif isinstance(wanted, int | float) and isinstance(got, int | float):
            if abs(wanted - got) > max(1e-6 * abs(wanted), 1e-9):
                yield f"{path}: recorded {wanted!r}, got {got!r}"
        elif type(wanted) is not type(got):
            yield f"{path}: recorded a {type(wanted).__name__}, got a {type(got).__name__}"
        elif isinstance(wanted, dict):
            for name, value in wanted.items():
                here = f"{path}.{name}" if path else name
                if name in got:
                    yield from self._differ(value, got[name], here, skip)
                elif not is_skipped(here, skip):
                    yield f"{here}: missing"
        elif isinstance(wanted, list):
            if len(wanted) != len(got):
                yield f"{path}: recorded {len(wanted)} items, got {len(got)}"
            for index, pair in enumerate(zip(wanted, got, strict=False)):
                yield from self._differ(*pair, f"{path}.{index}" if path else str(index), skip)
        elif not (self._is_same_message(wanted, got) if key in MESSAGE_KEYS else self._is_same_text(wanted, got)):
            yield f"{path}: recorded {wanted[:80]!r}, got {got[:80]!r}"

    def _is_same_message(self, wanted: str, got: str) -> bool:
        return bool(wanted.strip()) == bool(got.strip())

    def _is_same_text(self, wanted: str, got: str) -> bool:
        if not (wanted.startswith("@") and got.startswith("@")):
            return wanted == got
        then, now = int(wanted[1:]), int(got[1:])
        is_created_by_scenario = 0 <= now <= then <= RECORDING_MINUTES
        return abs(then - now) <= SLACK_MINUTES or is_created_by_scenario or self._is_fixed(then, now)

    def _is_fixed(self, then: int, now: int) -> bool:
        """Return whether a time is the recorded one itself, which does not move with the start of the pass."""
        if self.recorded_on is None:
            return False
        midnight = datetime.combine(self.recorded_on, datetime.min.time(), UTC)
        most = int((self.replay.start - midnight).total_seconds() / 60)
        if self.shift is None and most - 24 * 60 <= then - now <= most:
            self.shift = then - now
        return self.shift is not None and abs(then - now - self.shift) <= SLACK_MINUTES


def in_days(value: Any, today: date) -> Any:
    """Return a value whose dates without a time of day are `#days` from `today`."""
    if isinstance(value, dict):
        return {key: in_days(inner, today) for key, inner in value.items()}
    if isinstance(value, list):
        return [in_days(inner, today) for inner in value]
    if not (isinstance(value, str) and (found := DAY.match(value))):
        return value
    day = date.fromisoformat(found["iso"] or f"{found['y']}-{found['m']}-{found['d']}")
    return f"#{(day - today).days}" if abs(day - today) < NEAR else value


def is_skipped(path: str, skip: list[str]) -> bool:
    """Return whether a dotted path is at or below one of `skip`, in which `*` matches one key or index."""
    parts = path.split(".")
    rules = [rule.split(".") for rule in skip]
    return any(
        len(rule) <= len(parts) and all(one in ("*", part) for one, part in zip(rule, parts, strict=False))
        for rule in rules
    )


def as_array(value: Any) -> Any:
    if value is None:
        return []
    return value["<json text>"] if isinstance(value, dict) and "<json text>" in value else value


def check(url: str, scenario: dict[str, Any], golden: dict[str, Any]) -> dict[str, list[str]]:
    """Replay a scenario; return the differences of each recorded step by its name."""
    replay = Replay(url, scenario.get("absolute", False))
    comparison = Comparison(golden, replay)
    found = {}
    for step in scenario["steps"]:
        status, body = replay.send(step)
        if step["name"] in comparison.golden:
            found[step["name"]] = comparison.differences(step, status, body)
    return found


def record(url: str, scenario: dict[str, Any]) -> dict[str, Any]:
    """Replay a scenario; return the normalized responses by step, and the day."""
    replay = Replay(url, scenario.get("absolute", False))
    answers: dict[str, Any] = {}
    for step in scenario["steps"]:
        status, body = replay.send(step)
        answers[step["name"]] = {"status": status, "body": body}
    return {**answers, "_recorded": replay.start.date().isoformat()}


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def main(mode: str, url: str, scenario_file: str, golden_file: str) -> int:
    scenario, golden = read_json(Path(scenario_file)), Path(golden_file)
    if mode == "record":
        text = json.dumps(record(url, scenario), indent=1, sort_keys=True, ensure_ascii=False)
        golden.write_text(text, encoding="utf-8")
        return 0
    found = check(url, scenario, read_json(golden))
    for name, lines in found.items():
        sys.stdout.writelines(f"{name}: {line}\n" for line in lines)
    return 0 if found and not any(found.values()) else 1


if __name__ == "__main__":
    if len(sys.argv) != 5 or sys.argv[1] not in ("record", "check"):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
