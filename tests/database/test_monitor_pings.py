"""Pings in the formats of known services."""

import pytest

from app.database.external_monitor import GATUS, HEALTHCHECKS, OTHER, UPTIME_KUMA, Ping, build_ping, recognise

UUID = "5bd7a35c-6f5c-4b4e-9d0e-2d0a0f6b1c11"


@pytest.mark.parametrize(
    ("url", "service"),
    [
        (f"https://hc-ping.com/{UUID}", HEALTHCHECKS),
        ("https://hc-ping.com/fqOOd6-F4MMNuCEnzTU01w/duplistatus", HEALTHCHECKS),
        (f"http://hc.home:8000/ping/{UUID}", HEALTHCHECKS),
        (f"https://example.org/checks/ping/{UUID}/", HEALTHCHECKS),
        ("https://example.org/ping/some-key/duplistatus", HEALTHCHECKS),
        ("http://kuma.home:3001/api/push/aB3dE5fG7h?status=up&msg=OK&ping=", UPTIME_KUMA),
        ("https://example.org/kuma/api/push/aB3dE5fG7h", UPTIME_KUMA),
        ("https://status.example.org/api/v1/endpoints/core_duplistatus/external", GATUS),
        ("https://status.example.org/api/v1/endpoints/core_duplistatus/external?success=true&error=", GATUS),
        ("https://example.org/ping", OTHER),
        ("https://example.org/beat/api/push", OTHER),
        ("http://[::1", OTHER),
    ],
)
def test_services_are_recognised_by_their_urls(url, service):
    assert recognise(url) == service


def test_healthchecks_has_a_url_for_failures():
    url = f"https://hc-ping.com/{UUID}"
    assert build_ping(HEALTHCHECKS, url) == Ping("GET", url)
    assert build_ping(HEALTHCHECKS, url, reason="disk_full") == Ping("POST", f"{url}/fail", "disk_full")
    assert build_ping(HEALTHCHECKS, f"{url}/?rid=1", reason="x").url == f"{url}/fail?rid=1"


def test_uptime_kuma_gets_the_state_in_the_query():
    url = "http://kuma.home:3001/api/push/aB3?status=up&msg=OK&ping="
    assert build_ping(UPTIME_KUMA, url).url == url
    down = build_ping(UPTIME_KUMA, url, reason="disk_full & more")
    assert down == Ping("GET", "http://kuma.home:3001/api/push/aB3?status=down&msg=disk_full+%26+more&ping=")


def test_gatus_gets_a_token():
    url = "https://status.example.org/api/v1/endpoints/core_duplistatus/external"
    headers = {"Authorization": "Bearer secret"}
    assert build_ping(GATUS, url, "secret") == Ping("POST", f"{url}?success=true", headers=headers)
    failed = build_ping(GATUS, f"{url}?success=true&error=", "secret", "disk_full")
    assert failed == Ping("POST", f"{url}?success=false&error=disk_full", headers=headers)


def test_another_service_is_pinged_on_success_only():
    assert build_ping(OTHER, "https://example.org/beat?x=1") == Ping("GET", "https://example.org/beat?x=1")
    assert build_ping(OTHER, "https://example.org/beat", reason="disk_full") is None
