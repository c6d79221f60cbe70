"""Apprise: the common contract through its JSON service, and our restrictions."""

import logging
import socket
import subprocess
import sys
from typing import Any

import pytest
from marshmallow import ValidationError

from app.plugin import Severity
from app.plugin.testing.channels import SECRET, ChannelContract
from app.plugin.testing.http_servers import Answer, RecordingServer, recording_server
from plugins.apprise import AppriseChannel, AppriseSettings

pytestmark = pytest.mark.slow


class TestApprise(ChannelContract):
    channel_class = AppriseChannel

    @pytest.fixture(autouse=True)
    def _stand_in(self):
        with recording_server() as server:
            self.server: RecordingServer = server
            yield

    def url_of(self, server: RecordingServer, path: str = "/hook") -> str:
        return f"json://user:{SECRET}@{server.url.removeprefix('http://')}{path}"

    def settings(self) -> dict[str, Any]:
        return {"urls": self.url_of(self.server)}

    def unreachable_settings(self) -> dict[str, Any]:
        return {"urls": f"json://user:{SECRET}@127.0.0.1:9/{SECRET}"}

    def arrived(self) -> list[str]:
        return [f"{request.json['title']}\n{request.json['message']}" for request in self.server.received]

    def break_for_now(self) -> None:
        self.server.standard = Answer(503)

    def break_for_good(self) -> None:
        self.server.standard = Answer(403, SECRET.encode())

    @pytest.mark.parametrize(
        ("severity", "event", "kind"),
        [
            (Severity.INFO, "test", "info"),
            (Severity.INFO, "success", "success"),
            (Severity.WARNING, "warning", "warning"),
            (Severity.ERROR, "warning", "failure"),
        ],
    )
    def test_the_severity_becomes_the_type_of_the_notification(self, severity, event: str, kind: str) -> None:
        self.channel().send(self.message(severity=severity, event=event))
        assert self.server.received[0].json["type"] == kind

    def test_markdown_is_passed_on_as_markdown(self) -> None:
        urls = f"{self.url_of(self.server)}?format=html"
        self.channel(urls=urls).send(self.message(markdown="**A body**"))
        assert "<strong>A body</strong>" in self.server.received[0].json["message"]

    def test_plain_text_that_looks_like_markdown_is_unchanged(self) -> None:
        self.channel().send(self.message(body="**A body** <b>"))
        assert self.server.received[0].json["message"] == "**A body** <b>"

    def test_every_service_gets_the_message(self) -> None:
        urls = f"{self.url_of(self.server, '/one')}\n\n{self.url_of(self.server, '/two')}\n"
        self.channel(urls=urls).send(self.message())
        assert sorted(request.path.rstrip("/") for request in self.server.received) == ["/one", "/two"]

    def test_a_retry_reaches_only_the_services_that_failed(self) -> None:
        with recording_server() as broken:
            broken.answers = [Answer(503)]
            urls = f"{self.url_of(self.server)}\n{self.url_of(broken)}"
            message = self.message(idempotency_key="partly")
            with pytest.raises(Exception, match="503") as caught:
                self.channel(urls=urls).send(message)
            assert not caught.value.permanent
            self.channel(urls=urls).send(message)
            assert (len(self.server.received), len(broken.received)) == (1, 2)

    def test_a_permanent_and_a_temporary_failure_together_are_retried(self) -> None:
        self.break_for_good()
        error = self.fail(self.channel(urls=f"{self.url_of(self.server)}\njson://127.0.0.1:9/"))
        assert not error.permanent
        assert "403 Forbidden" in str(error)

    def test_a_target_replaces_the_services(self) -> None:
        self.channel().send(self.message(target=self.url_of(self.server, "/other")))
        assert [request.path.rstrip("/") for request in self.server.received] == ["/other"]

    def test_an_invalid_target_is_rejected_permanently_and_not_repeated(self) -> None:
        with pytest.raises(Exception, match="Line 1") as caught:
            self.channel().send(self.message(target=f"nothing://{SECRET}"))
        assert caught.value.permanent
        assert SECRET not in str(caught.value)

    def test_a_timeout_of_the_server_is_retried(self) -> None:
        self.server.standard = Answer(delay_s=0.6)
        error = self.fail(self.channel(urls=f"{self.url_of(self.server)}?rto=0.1"))
        assert not error.permanent

    def test_the_whole_attempt_has_a_time_limit(self, monkeypatch) -> None:
        monkeypatch.setattr("plugins.apprise.services.TIMEOUT_S", 0.2)
        self.server.standard = Answer(delay_s=0.6)
        error = self.fail(self.channel())
        assert "in time" in str(error)
        assert not error.permanent

    def test_address_options_cannot_enable_redirects_retries_or_silence(self) -> None:
        self.server.answers = [Answer(302, headers={"Location": f"{self.server.url}/elsewhere"})]
        urls = f"{self.url_of(self.server)}?redirect=yes&retry=3&wait=0&optional=yes"
        assert self.fail(self.channel(urls=urls)).permanent
        assert len(self.server.received) == 1

    @pytest.mark.parametrize(
        "url",
        [
            "json://169.254.169.254/latest",
            "jsons://[fe80::1]/",
            "json://0.0.0.0/",
            "mailto://u:p@example.org?smtp=169.254.1.1&to=a@example.org",
            "gotify://100.100.100.200/token12345678901",
        ],
    )
    def test_forbidden_hosts_are_rejected_permanently(self, url: str) -> None:
        error = self.fail(self.channel(urls=url))
        assert error.permanent
        assert "not allowed" in str(error)

    def test_name_that_resolves_to_a_forbidden_address_later_is_rejected(self, monkeypatch) -> None:
        looks = [["127.0.0.1"], ["169.254.169.254"]]

        def look_up(_host: str, port: int, *_arguments: object, **_options: object) -> list[tuple[object, ...]]:
            addresses = looks.pop(0) if len(looks) > 1 else looks[0]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port or 0)) for address in addresses]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        channel = self.open({"urls": "json://rebinding.example:9/"})
        assert not self.fail(channel).permanent
        assert len(looks) == 1

    def test_proxies_of_the_environment_are_ignored(self, monkeypatch) -> None:
        with recording_server() as proxy:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url)
            host = self.server.url.removeprefix("http://")
            self.channel(urls=f"json://{host}/").send(self.message())
        assert (len(self.server.received), proxy.received) == (1, [])

    def test_failures_log_no_part_of_the_address(self, caplog) -> None:
        caplog.set_level(logging.DEBUG)
        self.break_for_good()
        self.fail(self.channel())
        assert SECRET not in caplog.text

    def test_audit_details_name_the_kinds_of_services_only(self) -> None:
        assert self.channel().audit_details() == {"services": ["json"]}


@pytest.mark.parametrize(
    "url",
    [
        "dbus://",
        "kde://",
        "glib://",
        "gnome://",
        "macosx://",
        "windows://",
        "syslog://",
        "SYSLOG://local0",
        "blink1://",
        "vapid://me@example.org/you@example.org",
        "file:///etc/passwd",
        "nothing://x",
        "no address",
    ],
)
def test_local_and_unknown_services_are_rejected_on_save(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        AppriseSettings().load({"urls": f"json://127.0.0.1/\n{url}"})
    [text] = caught.value.messages["urls"]
    assert "Line 2" in text
    assert url not in text


def test_service_without_delivery_confirmation_is_rejected_on_save() -> None:
    with pytest.raises(ValidationError, match=r"Line 2 .* confirmation"):
        AppriseSettings().load({"urls": "json://127.0.0.1/\nRSyslog://127.0.0.1/local0"})


@pytest.mark.parametrize("template", ["/etc/passwd", "file:///etc/passwd", "http://169.254.169.254/latest"])
def test_an_address_that_reads_a_file_is_rejected_on_save(template: str) -> None:
    with pytest.raises(ValidationError, match="attaches a file"):
        AppriseSettings().load({"urls": f"discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js?template={template}"})


@pytest.mark.parametrize("urls", ["", "\n \n", "\n".join(f"json://127.0.0.1/{number}" for number in range(11))])
def test_zero_or_too_many_services_are_rejected(urls: str) -> None:
    with pytest.raises(ValidationError):
        AppriseSettings().load({"urls": urls})


def test_the_plugin_loads_without_apprise() -> None:
    code = "import sys, plugins.apprise as plugin; plugin.AppriseChannel({'urls': ''}); print('apprise' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
