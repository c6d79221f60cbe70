"""ntfy: the common contract, and what is specific to it."""

import json
from typing import Any

import pytest
from marshmallow import ValidationError

from app.plugin import DeliveryError
from app.plugin.testing.channels import SECRET, ChannelContract
from app.plugin.testing.http_servers import Answer, RecordingServer, recording_server
from plugins.ntfy import NtfyChannel, NtfySettings

pytestmark = pytest.mark.slow


class TestNtfy(ChannelContract):
    channel_class = NtfyChannel

    @pytest.fixture(autouse=True)
    def _stand_in(self):
        with recording_server() as server:
            self.server: RecordingServer = server
            yield

    def settings(self) -> dict[str, Any]:
        return {"url": self.server.url, "topic": "a-topic", "token": SECRET}

    def unreachable_settings(self) -> dict[str, Any]:
        return {"url": "http://127.0.0.1:9", "topic": "a-topic", "token": SECRET}

    def arrived(self) -> list[str]:
        return [f"{request.json['title']}\n{request.json['message']}" for request in self.server.received]

    def break_for_now(self) -> None:
        self.server.standard = Answer(503, json.dumps({"error": f"down {SECRET[:0]}"}).encode())

    def break_for_good(self) -> None:
        self.server.standard = Answer(403, json.dumps({"code": 40301, "error": "forbidden"}).encode())

    def test_json_is_published_to_the_root_of_the_server(self) -> None:
        self.channel(url=f"{self.server.url}/").send(
            self.message(priority="high", tags=("warning", "duplicati"), link="https://status.example.org")
        )
        [request] = self.server.received
        assert (request.method, request.path) == ("POST", "/")
        assert request.json == {
            "topic": "a-topic",
            "title": "A title",
            "message": "A body",
            "priority": 4,
            "tags": ["warning", "duplicati"],
            "click": "https://status.example.org",
            "sequence_id": "0b7c-1",
        }

    def test_the_token_is_sent_in_the_header_only(self) -> None:
        self.channel(token="plain-token").send(self.message())
        [request] = self.server.received
        assert request.headers["authorization"] == "Bearer plain-token"
        assert b"plain-token" not in request.body

    def test_without_a_token_no_authorization_is_sent(self) -> None:
        self.channel(token="").send(self.message())
        assert "authorization" not in self.server.received[0].headers

    def test_a_target_replaces_the_topic(self) -> None:
        self.channel().send(self.message(target="other-topic"))
        assert self.server.received[0].json["topic"] == "other-topic"

    def test_markdown_is_declared_as_markdown(self) -> None:
        self.channel().send(self.message(markdown="**A body**"))
        sent = self.server.received[0].json
        assert (sent["message"], sent["markdown"]) == ("**A body**", True)

    @pytest.mark.parametrize(
        ("name", "number"),
        [
            ("min", 1),
            ("low", 2),
            ("default", 3),
            ("high", 4),
            ("max", 5),
            ("urgent", 5),
            ("5", 5),
            ("loud", 3),
            ("", 3),
        ],
    )
    def test_priority_names_become_numbers(self, name: str, number: int) -> None:
        self.channel().send(self.message(priority=name))
        assert self.server.received[0].json["priority"] == number

    def test_redirects_are_not_followed(self) -> None:
        self.server.answers = [Answer(302, headers={"Location": f"{self.server.url}/elsewhere"})]
        assert self.fail(self.channel()).permanent
        assert len(self.server.received) == 1

    def test_the_rate_limit_is_named_and_retried(self) -> None:
        body = json.dumps({"code": 42901, "http": 429, "error": "limit reached"}).encode()
        self.server.standard = Answer(429, body)
        error = self.fail(self.channel())
        assert "rate limit" in str(error)
        assert not error.permanent

    def test_the_error_text_of_the_service_is_reported(self) -> None:
        self.break_for_good()
        assert "forbidden" in str(self.fail(self.channel()))

    @pytest.mark.parametrize("body", [b"not json", b"[]", b"null", b'"text"'])
    def test_an_unknown_response_is_reported_by_its_status(self, body: bytes) -> None:
        self.server.standard = Answer(404, body)
        assert "404" in str(self.fail(self.channel()))

    def test_a_server_without_a_response_is_retried(self) -> None:
        self.server.standard = Answer(hangs_up=True)
        assert not self.fail(self.channel()).permanent

    def test_a_timeout_of_the_server_is_retried(self, monkeypatch) -> None:
        monkeypatch.setattr("app.plugin.channel.READ_TIMEOUT_S", 0.1)
        self.server.standard = Answer(delay_s=0.5)
        error = self.fail(self.channel())
        assert "in time" in str(error)
        assert not error.permanent

    @pytest.mark.parametrize(
        "host", ["169.254.169.254", "[fe80::1]", "224.0.0.1", "0.0.0.0", "[::ffff:a9fe:a9fe]", "100.100.100.200"]
    )
    def test_addresses_that_nobody_may_call_are_refused_for_good(self, host: str) -> None:
        error = self.fail(self.channel(url=f"http://{host}"))
        assert error.permanent
        assert "not allowed" in str(error)


@pytest.mark.parametrize("topic", ["", "a/b", "a b", "ä", "x" * 65])
def test_an_invalid_topic_is_rejected(topic: str) -> None:
    with pytest.raises(ValidationError):
        NtfySettings().load({"url": "https://ntfy.sh/", "topic": topic})


@pytest.mark.parametrize("url", ["https://ntfy.sh/", "http://ntfy:80", "http://my_ntfy.lan:8080/", "http://[::1]:80"])
def test_addresses_of_own_servers_are_accepted(url: str) -> None:
    assert NtfySettings().load({"url": url, "topic": "x"})["url"] == url


@pytest.mark.parametrize(
    "url", ["http://", "http://a b", "https://[", "ftp://ntfy.sh", "ntfy.sh", "", "file:///etc/passwd"]
)
def test_an_address_that_is_not_http_is_rejected(url: str) -> None:
    with pytest.raises(ValidationError):
        NtfySettings().load({"url": url, "topic": "x"})


def test_an_unreadable_address_is_rejected_permanently() -> None:
    channel = NtfyChannel({"url": "http://[", "topic": "x", "token": ""})
    with pytest.raises(DeliveryError) as caught:
        channel.post("http://[")
    assert caught.value.permanent
