"""The program as a user starts it: a process of its own with a real port."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


class RealServer:
    """A running server on a data directory; `kill` ends it like a power cut."""

    command: tuple[str, ...] = (sys.executable, "wsgi.py")
    folder = ROOT
    # The maximum time of a start; then it is killed.
    patience_s = 60.0

    def __init__(self, data_dir: Path, base_path: str = "", **environment: str) -> None:
        self._health = f"{base_path}/api/health"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        values = {"HOST": "127.0.0.1", "PORT": str(self.port), "DATA_DIR": str(data_dir), "TZ": "UTC"}
        usual = {"LOG_LEVEL": "WARNING", "RUN_JOBS": "true"}
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        # A file: nobody reads it meanwhile, and a full pipe blocks the writer.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `_end`)
        self._process = subprocess.Popen(
            [part.format(port=self.port) for part in self.command],
            cwd=self.folder,
            env={**inherited, **usual, **values, **environment},
            stdout=subprocess.DEVNULL,
            stderr=self._log,
        )
        self._wait_until_it_answers()

    @property
    def url(self) -> str:
        """Return its URL."""
        return f"http://127.0.0.1:{self.port}"

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Send one request on its own connection; return status and JSON. Raises OSError without a response."""
        connection = self.connect()
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def connect(self) -> http.client.HTTPConnection:
        """Open a connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def kept_bytes(self) -> int:
        """Return the bytes that the process holds in memory, and in files without a name."""
        place = Path(f"/proc/{self._process.pid}")
        found = int(place.joinpath("statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        for link in place.joinpath("fd").iterdir():
            with suppress(FileNotFoundError):
                found += link.stat().st_size if "(deleted)" in os.readlink(link) else 0
        return found

    def upload(self, body: bytes) -> int:
        """Send a report; return the status."""
        return self.request("POST", "/api/upload", body, {"Content-Type": "application/json"})[0]

    def kill(self) -> None:
        """End it without a chance to clean up."""
        self._process.send_signal(signal.SIGKILL)
        self._end()

    def stop(self, ending: signal.Signals = signal.SIGTERM) -> int:
        """End it as a service manager would; return the exit status."""
        self._process.send_signal(ending)
        return self._end()

    def _end(self) -> int:
        try:
            return self._process.wait(20)
        finally:
            self._process.kill()
            self._process.wait()
            self._log.close()

    def _read_log(self) -> str:
        with self._log:
            self._log.seek(0)
            return self._log.read().decode(errors="replace")[-2000:]

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + self.patience_s
        while True:
            try:
                if self.request("GET", self._health)[0] == 200:
                    return
            except (OSError, http.client.HTTPException):
                pass
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                self._process.wait()
                raise RuntimeError(f"the server did not start: {self._read_log()}")
            time.sleep(0.02)


class GunicornServer(RealServer):
    """Four workers of Gunicorn with four threads each."""

    command = (
        *(sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:{port}", "--workers", "4", "--threads", "4"),
        *("--no-control-socket", "wsgi:application"),
    )


class PreloadingGunicornServer(GunicornServer):
    """The same, with an application that is loaded before the workers are forked."""

    command = (*GunicornServer.command, "--preload")


@contextmanager
def real_server(data_dir: Path, kind: type[RealServer] = RealServer, **environment: str) -> Iterator[RealServer]:
    """Run a server until the end of the block."""
    server = kind(data_dir, **environment)
    try:
        yield server
    finally:
        server.stop()
