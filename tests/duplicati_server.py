"""A fake Duplicati server on loopback, of several versions, with every kind of failure.

It responds like the recordings in `data/duplicati/api`; `test_duplicati_server.py` compares them.
"""

import base64
import datetime as dt
import hashlib
import ipaddress
import json
import secrets
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PASSWORD = "s3cret"
MACHINE_ID = "9c41f0a2b7de4c5f8a13d2e6b0f7a955"
# The recorded versions, and the last one with the older login, of which only the source is known.
NEW, V2_2, V2_1, OLD = "after 2.3.1.0", "2.2.0.1", "2.1.0.5", "2.0.8.1"
RECORDED_PREFIXES = {NEW: "main-", V2_2: "v2201-", V2_1: "v2105-", OLD: "v2105-"}
RECORDINGS = Path(__file__).parent / "data" / "duplicati" / "api"
LOCKED = {
    "Error": "The backup database is currently in use by another operation and cannot be accessed concurrently. "
    "Please wait for the running operation to finish and try again.",
    "Code": 400,
    "HelpId": "DatabaseLocked",
}
SMALLEST_PAGE, LARGEST_PAGE = 10, 500
BEGAN_AT = dt.datetime(2031, 5, 4, 2, 0, 3, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Reply:
    """A replacement for the usual response: any bytes; `pause_s` before each part if there are several."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    pieces: int = 1
    pause_s: float = 0.0
    hangs_up: bool = False


@dataclass(frozen=True)
class Request:
    """A received request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def message(began_at: dt.datetime = BEGAN_AT, **changes: Any) -> dict[str, Any]:
    """Return the result of a good backup, as in a log entry."""
    return {
        "MainOperation": "Backup",
        "ParsedResult": "Success",
        "BeginTime": began_at.strftime("%Y-%m-%dT%H:%M:%S.1234567Z"),
        "EndTime": (began_at + dt.timedelta(minutes=4, seconds=2)).strftime("%Y-%m-%dT%H:%M:%S.7Z"),
        "Duration": "00:04:02.5765433",
        "ExaminedFiles": 10,
        "SizeOfExaminedFiles": 2048,
        "WarningsActualLength": 0,
        "ErrorsActualLength": 0,
        "MessagesActualLength": 1,
        "Messages": ["2031-05-04 02:00:03 +00 - [Information-Duplicati.Library.Main.Controller]: began"],
        "Warnings": [],
        "Errors": [],
        "BackendStatistics": {"BytesUploaded": 512, "KnownFileSize": 4096, "BackupListCount": 3},
        **changes,
    }


def entry(content: dict[str, Any] | str, number: int = 1) -> dict[str, Any]:
    """Return a log entry; its message is JSON within a text."""
    text = content if isinstance(content, str) else json.dumps(content)
    return {"ID": number, "OperationID": number, "Timestamp": 1935705600, "Type": "Result", "Message": text}


def job(
    job_id: str, name: str, schedule: dict[str, Any] | None = None, *, operation: str = "Backup", **metadata: str
) -> dict[str, Any]:
    """Return a backup job as it is listed; `metadata` are members of its Metadata."""
    backup = {"ID": job_id, "Name": name, "TargetURL": "s3://bucket/path?auth-username=u&auth-password=hidden"}
    backup |= {"OperationType": operation, "Settings": None, "Metadata": metadata}
    return {"Backup": backup, "Schedule": schedule}


@cache
def recording(name: str) -> dict[str, Any]:
    """Return one recorded request with its response, by the beginning of the file name."""
    return json.loads(next(RECORDINGS.glob(f"{name}*.json")).read_text())


SCHEDULE = {
    "ID": 2,
    "Tags": ["ID=3"],
    "Time": "2031-05-05T02:00:00Z",
    "Repeat": "1D",
    "LastRun": "2031-05-04T02:00:00Z",
    "Rule": "AllowedWeekDays=Monday,Tuesday,Friday",
    "AllowedDays": ["mon", "tue", "fri"],
}


class DuplicatiServer:
    """Responds like Duplicati; a reply in `replies`, by the end of the path, is sent instead.

    `settings` are set for the whole server, `job_settings` for one job by its id. `running` is the id of the job that
    runs, whose database is locked. `versions` are the times of the file sets of each job.
    """

    def __init__(self, generation: str = NEW, certificate: tuple[Path, Path] | None = None) -> None:
        self.generation = generation
        self.password = PASSWORD
        self.machine_id: str | None = MACHINE_ID
        self.machine_name: str | None = "nas-01"
        self.settings: dict[str, Any] = {}
        self.job_settings: dict[str, dict[str, str]] = {}
        self.jobs: list[dict[str, Any]] = [job("3", "Photos", SCHEDULE), job("4", "No schedule")]
        self.logs: dict[str, list[dict[str, Any]]] = {"3": [entry(message())], "4": []}
        self.versions: dict[str, list[str]] = {}
        self.running = ""
        self.running_since = "2031-05-04T13:30:00.2288909+02:00"
        self.tasks: dict[str, dict[str, Any]] = {}
        self.allowed_hostnames: set[str] = set()
        self.ignores_offset = False
        self.checks_host_at_login = True
        self.largest_page = LARGEST_PAGE
        # The end of the path at which, once, the token is not valid any more.
        self.forgets_token_at = ""
        self.replies: dict[str, Reply] = {}
        self.requests: list[Request] = []
        self.started: list[str] = []
        self.token = secrets.token_urlsafe(24)
        self._salt, self._nonces = secrets.token_bytes(32), {}
        self._xsrf, self._auth = base64.b64encode(b"+/x" * 8).decode(), secrets.token_urlsafe(24)
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Headers and body are two packets: the second would wait 40 ms for the receipt of the first.
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                owner._handle(self)

            do_GET = do_PATCH = do_POST

            def log_message(self, *_arguments: Any) -> None:
                """Log nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_arguments: Any) -> None:
                """A client that disconnects, as after an invalid certificate, is not logged."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            self._scheme = "https"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        """Return the port."""
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        """Return its URL."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def paths(self) -> list[str]:
        """Return the requested paths in order."""
        return [f"{request.method} {request.path}" for request in self.requests]

    def start(self) -> None:
        """Start listening."""
        self._thread.start()

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        body = self._read(handler)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        request = Request(handler.command, handler.path, headers, body)
        self.requests.append(request)
        path = urlsplit(handler.path).path
        wanted = next((reply for end, reply in self.replies.items() if handler.path.endswith(end)), None)
        wanted = wanted or next((reply for end, reply in self.replies.items() if path.endswith(end)), None)
        reply = wanted or (self._respond_like_2_0(request) if self.generation == OLD else self._answer(request, path))
        if reply.hangs_up:
            handler.close_connection = True
            return
        with suppress(OSError):  # the client may have disconnected
            self._send(handler, reply)

    @staticmethod
    def _read(handler: BaseHTTPRequestHandler) -> bytes:
        """Return the body of a request, with a length or in chunks."""
        if handler.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b""
            while size := int(handler.rfile.readline(), 16):
                body += handler.rfile.read(size)
                handler.rfile.readline()
            handler.rfile.readline()
            return body
        return handler.rfile.read(int(handler.headers.get("Content-Length", 0)))

    @staticmethod
    def _send(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        handler.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            for part in value.split("\n"):
                handler.send_header(name, part)
        handler.end_headers()
        size = -(-len(reply.body) // reply.pieces) or 1
        for start in range(0, len(reply.body), size):
            time.sleep(reply.pause_s)
            handler.wfile.write(reply.body[start : start + size])
            handler.wfile.flush()

    def _answer(self, request: Request, path: str) -> Reply:
        """The login checks the host name first, everything else the token."""
        if path == "/api/v1/auth/login":
            if self.checks_host_at_login and not self._accepts_host(request):
                return self._reject_host(request)
            if json.loads(request.body).get("Password") != self.password:
                return as_json({"Error": "Failed to log in", "Code": 401}, 401)
            cookie = {"Set-Cookie": "RefreshToken_8200=abc; path=/api/v1/auth/refresh; httponly"}
            tokens = {"AccessToken": self.token, "RefreshNonce": "n"}
            if self.generation == V2_1:
                del tokens["RefreshNonce"]
            return as_json(tokens, headers=cookie)
        if self.forgets_token_at and path.endswith(self.forgets_token_at):
            self.forgets_token_at, self.token = "", secrets.token_urlsafe(24)
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return Reply(401, b"")
        return self._content(request, path) if self._accepts_host(request) else self._reject_host(request)

    def _accepts_host(self, request: Request) -> bool:
        """Numeric addresses and localhost are always accepted."""
        host = (urlsplit(f"//{request.headers.get('host', '')}").hostname or "").lower()
        with suppress(ValueError):
            ipaddress.ip_address(host)
            return True
        return host == "localhost" or host in self.allowed_hostnames

    def _reject_host(self, request: Request) -> Reply:
        if self.generation == OLD:  # from its source code
            return Reply(403, b"The host header sent by the client is not allowed")
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname
        return as_json({"Error": f"Invalid hostname: {host}", "Code": 403}, 403)

    def _respond_like_2_0(self, request: Request) -> Reply:
        """Respond like Duplicati 2.0: no bearer tokens, bodies with a byte order mark, cookies that are URL-encoded.

        Without a password, its default, the login fails, and the API needs only the token against forged requests.
        """
        if not self._accepts_host(request):
            return self._reject_host(request)
        path = urlsplit(request.path).path
        cookies = dict(part.strip().split("=", 1) for part in request.headers.get("cookie", "").split(";") if part)
        xsrf = {"Set-Cookie": f"xsrf-token={quote(self._xsrf, safe='')}; expires=Fri, 01 Jan 2021 00:00:00 GMT; path=/"}
        if path == "/login.cgi":
            return self._login_of_2_0(request, cookies, xsrf)
        if request.headers.get("x-xsrf-token") != self._xsrf:
            return Reply(400, b"", xsrf)
        if self.password and cookies.get("session-auth") != self._auth:
            return Reply(401, b"")
        content = self._content(request, path)
        return Reply(content.status, b"\xef\xbb\xbf" + content.body, xsrf)

    def _login_of_2_0(self, request: Request, cookies: dict[str, str], xsrf: dict[str, str]) -> Reply:
        if not self.password:
            return Reply(500, b"", xsrf)
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if "get-nonce" in form:
            nonce = base64.b64encode(secrets.token_bytes(32)).decode()
            salted = hashlib.sha256(self.password.encode() + self._salt).digest()
            proof = hashlib.sha256(base64.b64decode(nonce) + salted).digest()
            self._nonces[nonce] = base64.b64encode(proof).decode()
            challenge = {"Status": "OK", "Nonce": nonce, "Salt": base64.b64encode(self._salt).decode()}
            both = f"{xsrf['Set-Cookie']}\nsession-nonce={quote(nonce, safe='')}; path=/"
            return as_json(challenge, headers={"Set-Cookie": both}, mark=True)
        expected = self._nonces.pop(unquote(cookies.get("session-nonce", "")), None)
        if expected is None or form.get("password") != expected:
            return Reply(401, b"", {"Content-Type": "application/json"})
        return as_json({"Status": "OK"}, headers={"Set-Cookie": f"session-auth={self._auth}; path=/"}, mark=True)

    def _content(self, request: Request, path: str) -> Reply:
        parts = [unquote(part) for part in path.split("/")][3:]
        match parts:
            case ["systeminfo"]:
                return as_json(self._system_info())
            case ["serversettings"]:
                return self._server_settings(request)
            case ["serverstate"]:
                return as_json(self._server_state())
            case ["progressstate"] if self.running:
                return as_json({**recording("running-02")["answer"]["body"], "BackupID": self.running})
            case ["backups"]:
                return self._create() if request.method == "POST" else as_json(self.jobs)
            case ["task", number, *rest]:
                return self._task(number, rest)
            case ["backup", job_id, *rest]:
                found = next((each for each in self.jobs if each["Backup"]["ID"] == job_id), None)
                if found is None:
                    return as_json({"Error": "Backup not found", "Code": 404}, 404)
                return self._of_job(found, rest, request)
        return Reply(404, b"")

    def _system_info(self) -> dict[str, Any]:
        """Return the recorded content with our server; an option without a value here is left out."""
        found = recording(RECORDED_PREFIXES[self.generation] + ("03" if self.generation == NEW else "04"))
        values = {"machine-id": self.machine_id, "machine-name": self.machine_name}
        options = [
            {**option, "DefaultValue": values.get(option["Name"], option["DefaultValue"])}
            for option in found["answer"]["body"]["Options"]
            if values.get(option["Name"], "") is not None
        ]
        return {**found["answer"]["body"], "MachineName": self.machine_name, "Options": options}

    def _server_settings(self, request: Request) -> Reply:
        if request.method == "PATCH":
            changes = json.loads(request.body)
            self.settings = {name: value for name, value in (self.settings | changes).items() if value is not None}
            return Reply(200, b"")
        found = recording(RECORDED_PREFIXES[self.generation] + ("04" if self.generation == NEW else "05"))
        return as_json({**found["answer"]["body"], **self.settings})

    def _server_state(self) -> dict[str, Any]:
        task = {"Item1": 14, "Item2": self.running} if self.running else None
        return {**recording("running-03")["answer"]["body"], "ActiveTask": task}

    def _create(self) -> Reply:
        number = max((int(each["Backup"]["ID"]) for each in self.jobs), default=0) + 1
        self.jobs.append(job(str(number), f"job {number}"))
        return as_json({"ID": str(number), "Temporary": False})

    def _task(self, number: str, rest: list[str]) -> Reply:
        if rest in (["stop"], ["abort"]):
            return Reply(200, b"")
        body = recording("running-04")["answer"]["body"]
        return as_json({**body, "ID": int(number), "TaskStarted": self.running_since, **self.tasks.get(number, {})})

    def _of_job(self, found: dict[str, Any], rest: list[str], request: Request) -> Reply:
        job_id = found["Backup"]["ID"]
        is_locked = self.running == job_id and self.generation == NEW
        match rest:
            case []:
                found_job = self._one_backup(found)
                return as_json({"success": True, "data": found_job} if self.generation == OLD else found_job)
            case ["isactive"]:
                return as_json({"Status": "OK", "Active": self.running == job_id})
            case ["run"] if request.method == "POST":
                self.started.append(job_id)
                return as_json({"Status": "OK", "ID": 17})
            case ["log"] if found["Backup"].get("OperationType") == "Sync":
                return as_json({"Error": "An error occurred", "Code": 500}, 500)
            case ["log" | "filesets"] if is_locked:
                return as_json(LOCKED, 400)
            case ["log"]:
                return as_json(self._page(job_id, parse_qs(urlsplit(request.path).query)))
            case ["filesets"]:
                fileset = {"IsFullBackup": 1, "FileCount": -1, "FileSizes": -1}
                return as_json(
                    [{"Version": i, "Time": at, **fileset} for i, at in enumerate(self.versions.get(job_id, []))]
                )
        return Reply(404, b"")

    def _one_backup(self, found: dict[str, Any]) -> dict[str, Any]:
        """Return a job with its own settings, which the list leaves out."""
        settings = [
            {"Filter": "", "Name": name, "Value": value, "Argument": None}
            for name, value in self.job_settings.get(found["Backup"]["ID"], {}).items()
        ]
        return {**found, "Backup": {**found["Backup"], "Settings": settings}, "DisplayNames": {}}

    def _page(self, job_id: str, query: dict[str, list[str]]) -> list[Any]:
        """Return entries of a log from the newest on, 10 at least and 500 at most, those before `offset`."""
        size = min(max(int(query["pagesize"][0]), SMALLEST_PAGE), self.largest_page)
        entries = self.logs.get(job_id, [])
        if "offset" in query and not self.ignores_offset:
            numbered = [each for each in entries if isinstance(each, dict) and "ID" in each]
            entries = [each for each in numbered if int(each["ID"]) < int(query["offset"][0])]
        return entries[:size]


def as_json(value: Any, status: int = 200, headers: dict[str, str] | None = None, *, mark: bool = False) -> Reply:
    """Return a reply of JSON; with `mark` after a byte order mark."""
    body = json.dumps(value).encode()
    return Reply(
        status, b"\xef\xbb\xbf" + body if mark else body, {"Content-Type": "application/json", **(headers or {})}
    )


def _named(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def make_certificate(folder: Path, address: str = "127.0.0.1", days: int = 1) -> tuple[Path, Path]:
    """Create a self-signed certificate, valid for so many days; return its file and that of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nas-01")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=9))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([_named(address)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    files[1].write_bytes(key.private_bytes(*pem))
    return files


@contextmanager
def duplicati_server(generation: str = NEW, certificate: tuple[Path, Path] | None = None) -> Iterator[DuplicatiServer]:
    """Run a fake Duplicati server until the end of the block."""
    server = DuplicatiServer(generation, certificate)
    server.start()
    try:
        yield server
    finally:
        server.stop()
