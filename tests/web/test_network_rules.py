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

INSIDE, OUTSIDE, PROXY = "192.0.2.7", "203.0.113.9", "10.0.0.1"


@pytest.fixture
def settings(settings):
    """Behind a proxy that is trusted."""
    return replace(settings, trusted_proxies=networks(PROXY))


def get(client, path, address, **headers):
    return client.get(path, environ_base={"REMOTE_ADDR": address}, headers=headers)


def switch_on(db, clock, zone, *listed):
    with writing():
        settings_store.put(f"{zone}_allowlist_enabled", True, now=clock())
        settings_store.put(f"{zone}_allowlist", list(listed), now=clock())


def test_without_lists_everybody_may_come(client):
    assert get(client, "/api/csrf", OUTSIDE).status_code == 200


def test_list_of_the_administration_shuts_others_out(db, client, clock):
    switch_on(db, clock, "admin", "192.0.2.0/24")
    answer = get(client, "/api/csrf", OUTSIDE)
    assert (answer.status_code, answer.get_json()["errorCode"]) == (403, "IP_NOT_ALLOWED")
    assert get(client, "/api/csrf", INSIDE).status_code == 200


def test_lists_do_not_mix(db, client, clock):
    switch_on(db, clock, "admin", "192.0.2.0/24")
    assert get(client, "/api/summary", OUTSIDE).status_code == 200
    switch_on(db, clock, "external", OUTSIDE)
    assert get(client, "/api/summary", INSIDE).status_code == 403
    assert get(client, "/api/summary", OUTSIDE).status_code == 200


@pytest.mark.parametrize("loopback", ["127.0.0.1", "::1", "127.0.0.53"])
def test_own_machine_is_always_in(db, client, clock, loopback):
    switch_on(db, clock, "admin", "192.0.2.0/24")
    assert get(client, "/api/csrf", loopback).status_code == 200


def test_refusal_is_not_audited_and_logged_at_a_limited_rate(db, client, clock, caplog):
    switch_on(db, clock, "admin", "192.0.2.0/24")
    for _ in range(5):
        get(client, "/api/csrf", OUTSIDE)
    assert caplog.text.count("is not on an allow list") == 1
    assert db.session.scalars(select(AuditEntry)).all() == []


@pytest.mark.parametrize(("path", "a_minute"), [("/api/ping", 60), ("/api/health", 30)])
def test_probes_of_strangers_are_limited_once_a_list_is_on(db, client, clock, path, a_minute):
    switch_on(db, clock, "external", "192.0.2.0/24")
    for _ in range(a_minute):
        assert get(client, path, OUTSIDE).status_code == 200
    answer = get(client, path, OUTSIDE)
    assert (answer.status_code, answer.get_json()["errorCode"]) == (429, "PROBE_RATE_LIMITED")
    assert int(answer.headers["Retry-After"]) >= 1
    assert get(client, path, INSIDE).status_code == 200


def test_probes_are_free_without_lists(client):
    assert {get(client, "/api/ping", OUTSIDE).status_code for _ in range(70)} == {200}


def test_stranger_cannot_pretend_another_address(db, client, clock):
    switch_on(db, clock, "admin", INSIDE)
    assert get(client, "/api/csrf", OUTSIDE, **{"X-Forwarded-For": INSIDE}).status_code == 403


def test_trusted_proxy_tells_who_it_is(db, client, clock):
    switch_on(db, clock, "admin", INSIDE)
    assert get(client, "/api/csrf", PROXY, **{"X-Forwarded-For": INSIDE}).status_code == 200
    assert get(client, "/api/csrf", PROXY, **{"X-Forwarded-For": OUTSIDE}).status_code == 403


def test_only_a_trusted_proxy_moves_scheme_host_and_path(client):
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "nas.lan", "X-Forwarded-Prefix": "/sub"}
    assert get(client, "/api/csrf/", PROXY, **forwarded).headers["Location"] == "/sub/api/csrf"
    assert get(client, "/api/csrf/", OUTSIDE, **forwarded).headers["Location"] == "/api/csrf"


class TestEnvironment:
    """Variables win over what is stored, so that a lock-out can be undone."""

    @pytest.fixture
    def settings(self, settings):
        return replace(settings, admin_allowlist_enabled=False, external_allowlist=networks(OUTSIDE))

    def test_list_is_switched_off(self, db, client, clock):
        switch_on(db, clock, "admin", "192.0.2.0/24")
        assert get(client, "/api/csrf", OUTSIDE).status_code == 200

    def test_networks_are_replaced(self, db, client, clock):
        switch_on(db, clock, "external", "192.0.2.0/24")
        assert get(client, "/api/summary", OUTSIDE).status_code == 200
        assert get(client, "/api/summary", INSIDE).status_code == 403


def save(clock, **values):
    options = {"is_enabled": True, "networks": ["192.0.2.0/24"], "own_address": INSIDE, **values}
    network_access.save_list(Zone.ADMINISTRATION, actor=Actor(username="admin"), now=clock(), **options)


def test_saved_list_is_in_force_at_once(db, client, clock):
    assert get(client, "/api/csrf", OUTSIDE).status_code == 200
    save(clock)
    assert get(client, "/api/csrf", OUTSIDE).status_code == 403
    assert db.session.scalars(select(AuditEntry.action)).all() == ["ip_allowlist_updated"]


def test_nobody_locks_himself_out(db, clock):
    with pytest.raises(Refused, match="lock yourself out"):
        save(clock, own_address=OUTSIDE)
    assert settings_store.get("admin_allowlist_enabled") is False


def test_list_with_a_typing_error_is_refused(db, clock):
    with pytest.raises(Refused, match=r"192\.0\.2\.0/240"):
        save(clock, networks=["192.0.2.0/240"])


LOOPBACKS = ["127.0.0.1", "::1", "127.0.0.53"]
TOLD = [{"X-Forwarded-For": "203.0.113.9"}, {"X-Real-IP": "127.0.0.1"}, {"Forwarded": "for=192.0.2.7"}]


@pytest.mark.parametrize("told", TOLD, ids=lambda told: next(iter(told)))
@pytest.mark.parametrize("loopback", LOOPBACKS)
class TestUntrustedProxy:
    """A proxy on this machine that is not named in IP_TRUSTED_PROXIES."""

    @pytest.mark.parametrize(
        ("zone", "path"), [("admin", "/login"), ("admin", "/api/csrf"), ("external", "/api/summary")]
    )
    def test_its_clients_are_not_this_machine(self, db, client, clock, told, loopback, zone, path):
        switch_on(db, clock, zone, "192.0.2.0/24")
        answer = get(client, path, loopback, **told)
        assert answer.status_code == 403
        assert "IP_TRUSTED_PROXIES" in answer.text
        assert get(client, path, loopback).status_code == 200

    def test_they_are_limited_together(self, client, told, loopback):
        sent = {"headers": told, "environ_base": {"REMOTE_ADDR": loopback}}
        statuses = {client.get("/api/summary", **sent).status_code for _ in range(310)}
        assert statuses == {200, 429}
        assert {get(client, "/api/summary", loopback).status_code for _ in range(310)} == {200}

    @pytest.mark.parametrize("zone", ["admin", "external"])
    def test_a_list_that_would_shut_them_out_is_refused(self, db, admin, told, loopback, zone):
        body = {"enabled": True, "networks": ["127.0.0.0/8", "192.0.2.0/24"]}
        sent = {"headers": {**admin.csrf_headers(), **told}, "environ_base": {"REMOTE_ADDR": loopback}}
        answer = admin.patch(f"/api/access/allow-lists/{zone}", json=body, **sent)
        assert (answer.status_code, "IP_TRUSTED_PROXIES" in answer.get_json()["error"]) == (400, True)
        assert settings_store.get(f"{zone}_allowlist_enabled") is False
        fields = {f"{zone}-is_enabled": "y", f"{zone}-networks": "127.0.0.0/8"}
        page = admin.post(f"/settings/access/{zone}", data=fields, **sent)
        assert (page.status_code, "IP_TRUSTED_PROXIES" in page.text) == (400, True)
        assert settings_store.get(f"{zone}_allowlist_enabled") is False


def test_an_untrusted_proxy_is_told_of_in_page_doctor_and_log(db, client, admin, clock, caplog):
    def findings():
        return [found.text for found in doctor.examine_application(clock()) if found.subject == "proxy"]

    assert findings() == []
    assert "untrusted proxy" not in admin.get("/settings/?tab=access").text
    for _ in range(5):
        get(client, "/login", "127.0.0.1", **TOLD[0])
    assert caplog.text.count("IP_TRUSTED_PROXIES") == 1
    [text] = findings()
    assert "2031-05-04 12:00 UTC" in text
    assert "untrusted proxy" in admin.get("/settings/?tab=access").text
    with sent_statements() as seen:
        get(client, "/login", "127.0.0.1", **TOLD[0])
    assert {statement.split()[0] for statement in seen} <= {"SELECT"}
    clock.advance(days=2)
    assert findings() == []


def test_that_it_cannot_be_remembered_fails_no_request(client, monkeypatch):
    def fail(*_arguments, **_options):
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(settings_store, "put", fail)
    assert get(client, "/api/ping", "127.0.0.1", **TOLD[0]).status_code == 200


@pytest.mark.parametrize("stored", ["garbage", 7, ["x"], "2031-05-04"])
def test_what_a_restored_database_remembers_of_it_fails_no_request(db, client, clock, stored):
    settings_store.put("untrusted_proxy_seen_at", stored, now=clock())
    assert get(client, "/api/ping", "127.0.0.1", **TOLD[0]).status_code == 200
