"""API keys over HTTP, and scripts that use one."""

from datetime import date
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from app.accounts import api_keys
from app.audit.log import AuditEntry

PATH = "/api/api-keys"
ZONE = ZoneInfo("UTC")


@pytest.fixture
def make(db, clock):
    """Create a key of scope admin and return its secret."""

    def make(scope: str = "admin") -> str:
        return api_keys.create_key("backup script", scope, now=clock()).secret

    return make


def test_secret_is_shown_once(admin):
    made = admin.send("POST", PATH, json={"name": "nas", "scope": "upload"})
    assert made.status_code == 201
    secret, fingerprint = made.json["secret"], made.json["apiKey"]["fingerprint"]
    assert fingerprint == f"{secret[:4]}…{secret[-4:]}"
    assert secret not in admin.get(PATH).text
    assert admin.get(PATH).json["apiKeys"][0]["fingerprint"] == fingerprint


def test_last_day_ends_at_the_next_local_midnight(admin):
    made = admin.send("POST", PATH, json={"name": "nas", "scope": "read", "lastValidDay": "2031-05-04"})
    assert made.json["apiKey"]["expiresAt"] == "2031-05-05T00:00:00.000Z"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scope": "read"}, "name"),
        ({"name": "", "scope": "read"}, "name"),
        ({"name": "x", "scope": "all"}, "scope"),
        ({"name": "x", "scope": "read", "lastValidDay": "soon"}, "lastValidDay"),
        ({"name": "x", "scope": "read", "lastValidDay": "2031-05-03"}, "lastValidDay"),
        ({"name": "x", "scope": "read", "lastValidDay": "9999-12-31"}, "lastValidDay"),
    ],
)
def test_invalid_field_is_named(admin, body, field):
    answer = admin.send("POST", PATH, json=body)
    assert (answer.status_code, answer.json["error"].partition(":")[0]) == (400, field)


def test_key_is_disabled_enabled_and_deleted(admin):
    key_id = admin.send("POST", PATH, json={"name": "nas", "scope": "upload"}).json["apiKey"]["id"]
    assert admin.send("PATCH", f"{PATH}/{key_id}", json={"enabled": False}).json["enabled"] is False
    assert admin.send("DELETE", f"{PATH}/{key_id}").status_code == 200
    assert admin.send("DELETE", f"{PATH}/{key_id}").status_code == 404


def test_key_is_required_if_configured(admin, client):
    assert admin.send("PATCH", f"{PATH}/requirement", json={"required": True}).json == {"required": True}
    assert client.get("/api/summary").status_code == 401
    assert admin.get(f"{PATH}/requirement").json == {"required": True}


@pytest.mark.parametrize("header", ["X-Api-Key", "Authorization"])
def test_script_changes_settings_without_session_and_token(client, make, header):
    secret = make()
    headers = {header: secret if header == "X-Api-Key" else f"Bearer {secret}"}
    assert client.patch("/api/reception", json={"keepsOtherOperations": True}, headers=headers).status_code == 200


def test_script_is_named_in_the_audit_log(client, make, db):
    client.patch("/api/reception", json={"keepsOtherOperations": True}, headers={"X-Api-Key": make()})
    db.session.commit()
    entry = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert (entry.user_id, entry.username) == (None, "API key backup script")


def test_admin_key_is_not_accepted_in_the_url(client, make):
    assert client.get(f"{PATH}?api_key={make()}").status_code == 401


@pytest.mark.parametrize(("scope", "status"), [("read", 403), ("upload", 403)])
def test_key_of_another_scope_cannot_change_settings(client, make, scope, status):
    assert client.get(PATH, headers={"X-Api-Key": make(scope)}).status_code == status


def test_unknown_key_is_rejected_and_rate_limited(client, make):
    def status(_number: int) -> int:
        place = {"REMOTE_ADDR": "203.0.113.4"}
        return client.get(PATH, headers={"X-Api-Key": "invented"}, environ_base=place).status_code

    assert [status(number) for number in range(21)] == [401] * 20 + [429]


def test_expired_or_disabled_key_grants_nothing(client, db, clock):
    new = api_keys.create_key("x", "admin", now=clock(), expires_at=api_keys.end_of(date(2031, 5, 4), ZONE, clock()))
    assert client.get(PATH, headers={"X-Api-Key": new.secret}).status_code == 200
    clock.advance(days=1)
    assert client.get(PATH, headers={"X-Api-Key": new.secret}).status_code == 401


def test_key_grants_access_to_no_page(client, make):
    answer = client.get("/", headers={"X-Api-Key": make()})
    assert (answer.status_code, answer.location.partition("?")[0]) == (303, "/login")


def test_session_takes_precedence_over_any_key(admin, make):
    assert admin.get(PATH, headers={"X-Api-Key": "of a proxy"}).status_code == 200


def test_script_has_no_password_to_change(client, make):
    body = {"currentPassword": "Correct7Horse", "newPassword": "Another8Horse"}
    answer = client.post("/api/auth/change-password", json=body, headers={"X-Api-Key": make()})
    assert answer.status_code in (401, 403, 404)


def test_script_cannot_sign_in(client, make):
    answer = client.get("/api/api-keys", headers={"X-Api-Key": make()})
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("path", [PATH, f"{PATH}/requirement", "/api/deliveries", "/api/access/allow-lists"])
def test_visitor_sees_nothing(client, path):
    assert client.get(path).status_code == 401
