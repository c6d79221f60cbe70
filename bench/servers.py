"""Starts the servers that are measured, each in a process of its own."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "Bench7Password"

HELLO = """
import logging, sys, waitress
from flask import Flask
from app.server import waitress_options
from app.config import Settings
app = Flask("hello")
app.get("/")(lambda: "hello")
logging.getLogger("waitress.queue").setLevel(logging.ERROR)
waitress.serve(app, **waitress_options(Settings(host="127.0.0.1", port=int(sys.argv[1]))))
"""


@dataclass(frozen=True, slots=True)
class Running:
    """A running server: its port, process id, and the duration of its start."""

    port: int
    pid: int
    start_s: float

    def memory_mb(self) -> float:
        """Return the current resident memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+)", status)
        return int(found[1]) / 1024 if found else float("nan")


@contextmanager
def hello() -> Iterator[Running]:
    """Run a bare Flask application with one line, under waitress with our options."""
    port = _free_port()
    with _started([sys.executable, "-c", HELLO, str(port)], port, "/", {}) as running:
        yield running


@contextmanager
def duplistatus(data_dir: Path, **environment: str) -> Iterator[Running]:
    """Run our application on a data directory, started as in the README."""
    port = _free_port()
    values = {
        "PORT": str(port),
        "HOST": "127.0.0.1",
        "DATA_DIR": str(data_dir),
        "ADMIN_PASSWORD": PASSWORD,
        "LOG_LEVEL": "WARNING",
        "TZ": "UTC",
        **environment,
    }
    with _started([sys.executable, "wsgi.py"], port, "/api/health", values) as running:
        yield running


@contextmanager
def _started(command: list[str], port: int, path: str, environment: dict[str, str]) -> Iterator[Running]:
    begin = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment})
    try:
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", path)
                if connection.getresponse().status == 200:
                    break
            except OSError:
                pass
            if process.poll() is not None or time.perf_counter() - begin > 60:
                raise RuntimeError(f"{command} did not start")
            time.sleep(0.005)
        yield Running(port, process.pid, time.perf_counter() - begin)
    finally:
        process.terminate()
        process.wait(timeout=20)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Person:
    """A signed-in user: the headers that a browser would send."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._cookies: dict[str, str] = {}
        body = json.dumps({"username": "admin", "password": PASSWORD}).encode()
        self.call("POST", "/api/auth/login", body)

    def headers(self) -> dict[str, str]:
        """Return cookies, for the load generator."""
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}

    def call(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Send one request with a fresh CSRF token. Raise RuntimeError if it fails."""
        token = json.loads(self._request("GET", "/api/csrf"))["token"]
        return self._request(method, path, body, {"X-CSRF-Token": token})

    def _request(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
        self._connection.request(method, path, body=body, headers={**self.headers(), **(headers or {})})
        answer = self._connection.getresponse()
        content = answer.read()
        for line in answer.headers.get_all("Set-Cookie") or []:
            name, _, rest = line.partition("=")
            self._cookies[name] = rest.partition(";")[0]
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:200]!r}")
        return content
