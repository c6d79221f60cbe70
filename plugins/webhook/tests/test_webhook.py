"""The webhook: the common contract, its format, and its signature."""

import hashlib
import hmac
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from marshmallow import ValidationError

from app.plugin.testing.channels import SECRET, HttpChannelContract
from app.plugin.testing.http_servers import Answer
from plugins.webhook import WebhookChannel, WebhookSettings

pytestmark = pytest.mark.slow

README = Path(__file__).parents[1] / "README.md"


class TestWebhook(HttpChannelContract):
    channel_class = WebhookChannel

    def settings_for(self, url: str) -> dict[str, Any]:
        return {"url": f"{url}/hook", "secret": SECRET, "headers": f"X-Token: {SECRET}"}

    def test_the_event_is_sent_in_the_documented_form(self) -> None:
        values = {"server_name": "nas", "backup_name": "Photos", "status": "Warning", "duration": "5m 0s"}
        self.channel().send(
            self.message(
                event="warning",
                values=values,
                link="https://status.example.org",
                sent_at=datetime(2031, 5, 4, 12, 0, 0, 250_000, tzinfo=UTC),
            )
        )
        [request] = self.server.received
        assert (request.method, request.path) == ("POST", "/hook")
        assert request.headers["content-type"] == "application/json"
        assert request.json == {
            "version": 1,
            "event": "warning",
            "title": "A title",
            "body": "A body",
            "severity": "info",
            "server": "nas",
            "job": "Photos",
            "status": "Warning",
            "values": values,
            "link": "https://status.example.org",
            "sent_at": "2031-05-04T12:00:00.250Z",
            "idempotency_key": "0b7c-1",
        }

    def test_the_signature_is_hmac_over_timestamp_and_body(self) -> None:
        self.channel().send(self.message())
        [request] = self.server.received
        timestamp = request.headers["x-duplistatus-timestamp"]
        expected = hmac.new(SECRET.encode(), f"{timestamp}.".encode() + request.body, hashlib.sha256).hexdigest()
        assert request.headers["x-duplistatus-signature"] == f"v1={expected}"
        assert abs(time.time() - int(timestamp)) < 10

    def test_the_verification_of_the_manual_accepts_the_request_and_no_changed_one(self) -> None:
        self.channel().send(self.message())
        [request] = self.server.received
        is_genuine = recipe()
        assert is_genuine(SECRET, request.headers, request.body)
        assert not is_genuine(SECRET, request.headers, request.body + b" ")
        assert not is_genuine("another", request.headers, request.body)
        stale = {**request.headers, "x-duplistatus-timestamp": "1000000000"}
        assert not is_genuine(SECRET, stale, request.body)

    def test_without_a_secret_nothing_is_signed(self) -> None:
        self.channel(secret=None).send(self.message())
        assert not [name for name in self.server.received[0].headers if name.startswith("x-duplistatus")]

    def test_every_attempt_has_the_same_idempotency_key(self) -> None:
        for _ in range(2):
            self.channel().send(self.message())
        assert [request.headers["idempotency-key"] for request in self.server.received] == ["0b7c-1", "0b7c-1"]

    def test_own_headers_are_sent_and_multi_line_values_are_joined(self) -> None:
        self.channel(headers="\nAuthorization: Bearer abc\n\n  X-Room :ignored".replace(" :ignored", ": 7 b ")).send(
            self.message()
        )
        headers = self.server.received[0].headers
        assert (headers["authorization"], headers["x-room"]) == ("Bearer abc", "7 b")

    def test_a_target_replaces_the_address(self) -> None:
        self.channel().send(self.message(target=f"{self.server.url}/other"))
        assert self.server.received[0].path == "/other"

    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 504])
    def test_a_temporary_error_response_is_retried(self, status: int) -> None:
        self.server.standard = Answer(status)
        assert not self.fail(self.channel()).permanent

    @pytest.mark.parametrize("status", [301, 400, 401, 404, 410, 422])
    def test_a_final_error_response_is_permanent(self, status: int) -> None:
        self.server.standard = Answer(status)
        assert self.fail(self.channel()).permanent

    def test_a_timeout_of_the_server_is_retried(self, monkeypatch) -> None:
        monkeypatch.setattr("app.plugin.channel.READ_TIMEOUT_S", 0.1)
        self.server.standard = Answer(delay_s=0.5)
        assert not self.fail(self.channel()).permanent

    def test_a_target_that_is_no_url_is_rejected_permanently(self) -> None:
        with pytest.raises(Exception, match="the URL is not valid") as caught:
            self.channel().send(self.message(target="file:///etc/passwd"))
        assert caught.value.permanent

    def test_audit_details_name_the_server_and_not_the_path(self) -> None:
        assert self.channel(url="https://hooks.example.org/services/T0/token").audit_details() == {
            "server": "hooks.example.org"
        }


@pytest.mark.parametrize(
    "line",
    [
        "no colon",
        "Bad Name: x",
        ": x",
        "X-Ä: x",
        "X-A: ä",
        "X-A:",
        "X-A: a\x00b",
        "Host: elsewhere",
        "content-length: 3",
        "X-Duplistatus-Signature: v1=forged",
    ],
)
def test_an_invalid_header_line_is_rejected_without_its_value(line: str) -> None:
    with pytest.raises(ValidationError) as caught:
        WebhookSettings().load({"url": "https://example.org", "headers": f"X-Fine: yes\n{line}"})
    [text] = caught.value.messages["headers"]
    assert "Line 2" in text
    assert line.partition(":")[2].strip() not in text or not line.partition(":")[2].strip()


@pytest.mark.parametrize("url", ["", "example.org", "ftp://example.org", "http://", "file:///etc/passwd"])
def test_an_address_that_is_not_http_is_rejected(url: str) -> None:
    with pytest.raises(ValidationError):
        WebhookSettings().load({"url": url})


def recipe() -> Any:
    """Return the receiver's check of the manual."""
    [code] = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, str(README), "exec"), names)
    return names["is_genuine"]
