"""Allow lists, probes and proxies over HTTP."""

import sqlite3
from dataclasses import replace

import pytest
from sqlalchemy import select
from statements import sent_statements

from app.accounts import network_access
from app.accounts.network_access import Zone
from app.audit.log import Actor, AuditEntry
from app.config import networks
from app.core.db.orm import writing
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.database import doctor

pytestmark = pytest.mark.slow

INSIDE, OUTSIDE, PROXY = "192.0.2.7", "203.0.113.9", "10.0.0.1"


@pytest.fixture
def settings(settings):
    """Behind a trusted proxy."""
    return replace(settings, trusted_proxies=networks(PROXY))


def get(client, path, address, **headers):
    return client.get(path, environ_base={"REMOTE_ADDR": address}, headers=headers)


def enable_list(db, clock, zone, *listed):
    with writing():
        settings_store.put(f"{zone}_allowlist_enabled", True, now=clock())
        settings_store.put(f"{zone}_allowlist", list(listed), now=clock())


def test_without_lists_access_is_open(client):
    assert get(client, "/api/csrf", OUTSIDE).status_code == 200


def test_list_of_the_administration_excludes_others(db, client, clock):
    enable_list(db, clock, "admin", "192.0.2.0/24")
    answer = get(client, "/api/csrf", OUTSIDE)
    assert (answer.status_code, answer.get_json()["errorCode"]) == (403, "IP_NOT_ALLOWED")
    assert get(client, "/api/csrf", INSIDE).status_code == 200


def test_lists_are_independent(db, client, clock):
    enable_list(db, clock, "admin", "192.0.2.0/24")
    assert get(client, "/api/summary", OUTSIDE).status_code == 200
    enable_list(db, clock, "external", OUTSIDE)
    assert get(client, "/api/summary", INSIDE).status_code == 403
    assert get(client, "/api/summary", OUTSIDE).status_code == 200


@pytest.mark.parametrize("loopback", ["127.0.0.1", "::1", "127.0.0.53"])
def test_localhost_is_always_allowed(db, client, clock, loopback):
    enable_list(db, clock, "admin", "192.0.2.0/24")
    assert get(client, "/api/csrf", loopback).status_code == 200


def test_rejection_is_not_audited_and_logged_at_a_limited_rate(db, client, clock, caplog):
    enable_list(db, clock, "admin", "192.0.2.0/24")
    for _ in range(5):
        get(client, "/api/csrf", OUTSIDE)
    assert caplog.text.count("is not on an allow list") == 1
    assert db.session.scalars(select(AuditEntry)).all() == []


@pytest.mark.parametrize(("path", "a_minute"), [("/api/ping", 60), ("/api/health", 30)])
def test_probes_of_clients_outside_the_list_are_limited(db, client, clock, path, a_minute):
    enable_list(db, clock, "external", "192.0.2.0/24")
    for _ in range(a_minute):
        assert get(client, path, OUTSIDE).status_code == 200
    answer = get(client, path, OUTSIDE)
    assert (answer.status_code, answer.get_json()["errorCode"]) == (429, "PROBE_RATE_LIMITED")
    assert int(answer.headers["Retry-After"]) >= 1
    assert get(client, path, INSIDE).status_code == 200


def test_probes_are_not_limited_without_lists(client):
    assert {get(client, "/api/ping", OUTSIDE).status_code for _ in range(70)} == {200}


def test_client_cannot_forge_another_address(db, client, clock):
    enable_list(db, clock, "admin", INSIDE)
    assert get(client, "/api/csrf", OUTSIDE, **{"X-Forwarded-For": INSIDE}).status_code == 403


def test_trusted_proxy_forwards_the_client_address(db, client, clock):
    enable_list(db, clock, "admin", INSIDE)
    assert get(client, "/api/csrf", PROXY, **{"X-Forwarded-For": INSIDE}).status_code == 200
    assert get(client, "/api/csrf", PROXY, **{"X-Forwarded-For": OUTSIDE}).status_code == 403


def test_only_a_trusted_proxy_changes_scheme_host_and_path(client):
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "nas.lan", "X-Forwarded-Prefix": "/sub"}
    assert get(client, "/api/csrf/", PROXY, **forwarded).headers["Location"] == "/sub/api/csrf"
    assert get(client, "/api/csrf/", OUTSIDE, **forwarded).headers["Location"] == "/api/csrf"


class TestEnvironment:
    """Variables precede stored values, so that a lock-out can be undone."""

    @pytest.fixture
    def settings(self, settings):
        return replace(settings, admin_allowlist_enabled=False, external_allowlist=networks(OUTSIDE))

    def test_list_is_disabled(self, db, client, clock):
        enable_list(db, clock, "admin", "192.0.2.0/24")
        assert get(client, "/api/csrf", OUTSIDE).status_code == 200

    def test_networks_are_replaced(self, db, client, clock):
        enable_list(db, clock, "external", "192.0.2.0/24")
        assert get(client, "/api/summary", OUTSIDE).status_code == 200
        assert get(client, "/api/summary", INSIDE).status_code == 403


def save(clock, **values):
    options = {"is_enabled": True, "networks": ["192.0.2.0/24"], "own_address": INSIDE, **values}
    network_access.save_list(Zone.ADMINISTRATION, actor=Actor(username="admin"), now=clock(), **options)


def test_saved_list_applies_at_once(db, client, clock):
    assert get(client, "/api/csrf", OUTSIDE).status_code == 200
    save(clock)
    assert get(client, "/api/csrf", OUTSIDE).status_code == 403
    assert db.session.scalars(select(AuditEntry.action)).all() == ["ip_allowlist_updated"]


def test_own_address_cannot_be_locked_out(db, clock):
    with pytest.raises(Refused, match="lock yourself out"):
        save(clock, own_address=OUTSIDE)
    assert settings_store.get("admin_allowlist_enabled") is False


def test_list_with_a_syntax_error_is_rejected(db, clock):
    with pytest.raises(Refused, match=r"192\.0\.2\.0/240"):
        save(clock, networks=["192.0.2.0/240"])


LOOPBACKS = ["127.0.0.1", "::1", "127.0.0.53"]
HEADERS_OF_PROXIES = [{"X-Forwarded-For": "203.0.113.9"}, {"X-Real-IP": "127.0.0.1"}, {"Forwarded": "for=192.0.2.7"}]


@pytest.mark.parametrize("headers", HEADERS_OF_PROXIES, ids=lambda headers: next(iter(headers)))
@pytest.mark.parametrize("loopback", LOOPBACKS)
class TestUntrustedProxy:
    """A proxy on this host that is not named in IP_TRUSTED_PROXIES."""

    @pytest.mark.parametrize(
        ("zone", "path"), [("admin", "/login"), ("admin", "/api/csrf"), ("external", "/api/summary")]
    )
    def test_its_clients_are_not_localhost(self, db, client, clock, headers, loopback, zone, path):
        enable_list(db, clock, zone, "192.0.2.0/24")
        answer = get(client, path, loopback, **headers)
        assert answer.status_code == 403
        assert "IP_TRUSTED_PROXIES" in answer.text
        assert get(client, path, loopback).status_code == 200

    def test_its_clients_are_limited_together(self, client, headers, loopback):
        sent = {"headers": headers, "environ_base": {"REMOTE_ADDR": loopback}}
        statuses = {client.get("/api/summary", **sent).status_code for _ in range(310)}
        assert statuses == {200, 429}
        assert {get(client, "/api/summary", loopback).status_code for _ in range(310)} == {200}

    @pytest.mark.parametrize("zone", ["admin", "external"])
    def test_a_list_that_would_exclude_them_is_rejected(self, db, admin, headers, loopback, zone):
        body = {"enabled": True, "networks": ["127.0.0.0/8", "192.0.2.0/24"]}
        sent = {"headers": {**admin.csrf_headers(), **headers}, "environ_base": {"REMOTE_ADDR": loopback}}
        answer = admin.patch(f"/api/access/allow-lists/{zone}", json=body, **sent)
        assert (answer.status_code, "IP_TRUSTED_PROXIES" in answer.get_json()["error"]) == (400, True)
        assert settings_store.get(f"{zone}_allowlist_enabled") is False
        fields = {f"{zone}-is_enabled": "y", f"{zone}-networks": "127.0.0.0/8"}
        page = admin.post(f"/settings/access/{zone}", data=fields, **sent)
        assert (page.status_code, "IP_TRUSTED_PROXIES" in page.text) == (400, True)
        assert settings_store.get(f"{zone}_allowlist_enabled") is False


def test_an_untrusted_proxy_is_reported_on_page_doctor_and_log(db, client, admin, clock, caplog):
    def findings():
        return [found.text for found in doctor.examine_application(clock()) if found.subject == "proxy"]

    assert findings() == []
    assert "untrusted proxy" not in admin.get("/settings/?tab=access").text
    for _ in range(5):
        get(client, "/login", "127.0.0.1", **HEADERS_OF_PROXIES[0])
    assert caplog.text.count("IP_TRUSTED_PROXIES") == 1
    [text] = findings()
    assert "2031-05-04 12:00 UTC" in text
    assert "untrusted proxy" in admin.get("/settings/?tab=access").text
    with sent_statements() as seen:
        get(client, "/login", "127.0.0.1", **HEADERS_OF_PROXIES[0])
    assert {statement.split()[0] for statement in seen} <= {"SELECT"}
    clock.advance(days=2)
    assert findings() == []


def test_failure_to_store_it_fails_no_request(client, monkeypatch):
    def fail(*_arguments, **_options):
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(settings_store, "put", fail)
    assert get(client, "/api/ping", "127.0.0.1", **HEADERS_OF_PROXIES[0]).status_code == 200


@pytest.mark.parametrize("stored", ["garbage", 7, ["x"], "2031-05-04"])
def test_restored_values_of_it_fail_no_request(db, client, clock, stored):
    settings_store.put("untrusted_proxy_seen_at", stored, now=clock())
    assert get(client, "/api/ping", "127.0.0.1", **HEADERS_OF_PROXIES[0]).status_code == 200
