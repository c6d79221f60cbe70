"""A stop does not wait for slow mail servers, webhook receivers or Duplicati servers."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.client import HTTPException

import pytest
from factories import make_run
from real_server import RealServer, real_server
from sqlalchemy import select, update

from app.accounts import api_keys
from app.audit.log import SYSTEM
from app.backups import servers
from app.backups.models import Server
from app.core.db.orm import writing
from app.notifications import channels, delivery
from app.notifications.models import Delivery, DeliveryState
from app.plugin.testing.http_servers import recording_server
from app.plugin.testing.mail_servers import mail_server

pytestmark = pytest.mark.slow

GREETING, HEADER = b"220-x\r\n", b"HTTP/1.1 200 OK\r\nX-Long: "


class SlowServer:
    """Listens on loopback, and sends each client a beginning and then a part twice a second, forever."""

    def __init__(self, listener: socket.socket, beginning: bytes, piece: bytes) -> None:
        self.port = listener.getsockname()[1]
        self.called, self.over = threading.Event(), threading.Event()
        self._listener, self._beginning, self._piece = listener, beginning, piece
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._send_slowly, args=(self._listener.accept()[0],), daemon=True).start()

    def _send_slowly(self, caller: socket.socket) -> None:
        with suppress(OSError), caller:
            caller.sendall(self._beginning)
            self.called.set()
            while not self.over.wait(0.5):
                caller.sendall(self._piece)


@contextmanager
def slow_server(beginning: bytes, piece: bytes) -> Iterator[SlowServer]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = SlowServer(listener, beginning, piece)
        yield server
        server.over.set()


def use_mail(port: int, now: datetime) -> None:
    account = {"connection_type": "plain", "mailto": "a@example.org", "from_address": "b@example.org"}
    channels.save_settings("email", "email", {"host": "127.0.0.1", "port": port, **account}, now=now)


def use_webhook(port: int, now: datetime) -> None:
    channels.save_settings("webhook", "hook", {"url": f"http://127.0.0.1:{port}/"}, now=now)


def stop(server: RealServer) -> None:
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("use", "beginning", "piece"), [(use_mail, GREETING, GREETING), (use_webhook, HEADER, b"a")], ids=["mail", "http"]
)
def test_interrupted_message_is_sent_soon_after_the_next_start(settings, db, clock, use, beginning, piece):
    channels.save_settings("ntfy", "ntfy", {}, now=clock(), is_enabled=False)
    with slow_server(beginning, piece) as slow:
        use(slow.port, clock())
        make_run(now=clock(), status="Error")
        with real_server(settings.data_dir) as server:
            assert slow.called.wait(60)
            stop(server)
    stopped_at = datetime.now(UTC)
    db.session.commit()
    [row] = db.session.scalars(select(Delivery).execution_options(populate_existing=True))
    assert row.state == DeliveryState.SENDING
    assert row.claimed_until <= stopped_at + timedelta(seconds=10)
    with mail_server() as mail, recording_server() as receiver:
        use(mail.port if use is use_mail else int(receiver.url.rpartition(":")[2]), clock())
        assert delivery.deliver_due(stopped_at + timedelta(seconds=11)) == 1
        assert len(mail.letters) + len(receiver.received) == 1


def test_hanging_collection_does_not_delay_the_stop(settings, db, clock):
    make_run(now=clock())
    servers.change_password("machine-1", "secret", actor=SYSTEM, now=clock())
    secret = api_keys.create_key("script", "admin", now=clock()).secret
    with slow_server(HEADER, b"a") as slow:
        with writing() as session:
            url = f"http://127.0.0.1:{slow.port}"
            session.execute(update(Server).values(url=url, collect_interval="1h", next_collect_at=None))
        with real_server(settings.data_dir) as server:

            def collect() -> None:
                with suppress(OSError, HTTPException):
                    headers = {"X-Api-Key": secret}
                    server.request("POST", "/api/cron/trigger/collect-from-servers", b"{}", headers)

            threading.Thread(target=collect, daemon=True).start()
            assert slow.called.wait(60)
            stop(server)
