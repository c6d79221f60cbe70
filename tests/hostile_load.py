"""Valid senders together with slow connections and hostile bodies, concurrently on one server."""

import http.client
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import timedelta

from factories import BEGAN_AT, report_body

HONEST_SENDERS, SLOW_CONNECTIONS, HOSTILE_OF_EACH_KIND = 4, 60, 8
# As many connections as a hostile sender opens at a time.
HOSTILE_SENDERS = 16
# Name, body, content type and content encoding, as `hostile_bodies` returns them.
Hostile = tuple[str, bytes, str, str]


@dataclass
class Load:
    """Results: the seconds of each valid report, the responses to all, and the health checks."""

    honest_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    hostile_statuses: Counter[int] = field(default_factory=Counter)
    asked_s: list[float] = field(default_factory=list)

    def percentile_s(self, share: float) -> float:
        """Return the seconds within which that share of the valid reports was answered."""
        return sorted(self.honest_s)[int(share * (len(self.honest_s) - 1))]


class Sender:
    """Sends to one server until a given time; each of its methods runs in a thread."""

    def __init__(self, port: int, seconds: float) -> None:
        self.load = Load()
        self._port = port
        self._ends_at = time.monotonic() + seconds

    def is_going_on(self) -> bool:
        """Return whether it is not over yet."""
        return time.monotonic() < self._ends_at

    def send_reports(self, sender: int) -> None:
        """Send one report after the other, as one server."""
        number = 0
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)) as connection:
            while self.is_going_on():
                body = report_body(server_id=f"honest-{sender}", began_at=BEGAN_AT + timedelta(minutes=number))
                began = time.perf_counter()
                status = _post(connection, body, "application/json")
                self.load.honest_s.append(time.perf_counter() - began)
                self.load.statuses[status] += 1
                number += 1

    def ask_for_health(self) -> None:
        """Request the health as a load balancer does."""
        while self.is_going_on():
            began = time.perf_counter()
            with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)) as connection:
                connection.request("GET", "/api/ping")
                connection.getresponse().read()
            self.load.asked_s.append(time.perf_counter() - began)
            time.sleep(0.05)

    def send_hostile(self, bodies: Sequence[Hostile]) -> None:
        """Send bodies; a rejected connection continues with the next one."""
        for _name, body, kind, encoding in bodies:
            if not self.is_going_on():
                return
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
            with suppress(OSError, http.client.HTTPException), closing(connection):
                self.load.hostile_statuses[_post(connection, body, kind, encoding)] += 1

    def trickle(self, number: int) -> None:
        """Send headers, or the body of a report, byte by byte."""
        head = b"POST /api/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
        sent = head + b"\r\n" + b"{" * 100 if number % 2 else head + b"X: y\r\n" * 100
        with suppress(OSError), closing(socket.create_connection(("127.0.0.1", self._port))) as connection:
            for at in range(len(sent)):
                if not self.is_going_on():
                    return
                connection.sendall(sent[at : at + 1])
                time.sleep(0.25)


def run_load(port: int, seconds: float, hostile: Sequence[Hostile] = ()) -> Load:
    """Send for some seconds; with hostile bodies, also through slow connections, all concurrently."""
    sender = Sender(port, seconds)
    threads = [threading.Thread(target=sender.send_reports, args=(number,)) for number in range(HONEST_SENDERS)]
    if hostile:
        bodies = list(hostile) * HOSTILE_OF_EACH_KIND
        threads += [threading.Thread(target=sender.send_hostile, args=(bodies[n::16],)) for n in range(HOSTILE_SENDERS)]
        threads += [threading.Thread(target=sender.trickle, args=(number,)) for number in range(SLOW_CONNECTIONS)]
        threads.append(threading.Thread(target=sender.ask_for_health))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sender.load


def _post(connection: http.client.HTTPConnection, body: bytes, kind: str, encoding: str = "identity") -> int:
    connection.request("POST", "/api/upload", body, {"Content-Type": kind, "Content-Encoding": encoding or "identity"})
    answer = connection.getresponse()
    answer.read()
    return answer.status
