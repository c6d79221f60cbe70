"""Allow lists over HTTP."""

from dataclasses import replace

import pytest

PATH = "/api/access/allow-lists"


def lists(answer):
    return {found["zone"]: found for found in answer.json["allowLists"]}


def test_lists_are_off_by_default(admin):
    answer = admin.get(PATH)
    assert answer.json["ownAddress"] == "127.0.0.1"
    assert {zone: found["enabled"] for zone, found in lists(answer).items()} == {"admin": False, "external": False}


def test_list_applies_at_once(admin, client):
    change = {"enabled": True, "networks": ["198.51.100.7"]}
    answer = admin.send("PATCH", f"{PATH}/external", json=change)
    assert lists(answer)["external"]["networks"] == ["198.51.100.7/32"]
    outside = client.get("/api/summary", environ_base={"REMOTE_ADDR": "203.0.113.9"})
    assert outside.json["errorCode"] == "IP_NOT_ALLOWED"


def test_omitted_fields_are_unchanged(admin):
    admin.send("PATCH", f"{PATH}/external", json={"networks": ["198.51.100.0/24"]})
    answer = admin.send("PATCH", f"{PATH}/external", json={"enabled": True})
    assert lists(answer)["external"]["networks"] == ["198.51.100.0/24"]


def test_invalid_network_is_reported_with_its_field(admin):
    answer = admin.send("PATCH", f"{PATH}/external", json={"networks": ["nowhere"]})
    assert (answer.status_code, "networks" in answer.json["error"], "nowhere" in answer.json["error"]) == (
        400,
        True,
        True,
    )


def test_own_address_cannot_be_locked_out(app, admin):
    token = admin.csrf_headers()
    body = {"enabled": True, "networks": ["198.51.100.0/24"]}
    there = {"REMOTE_ADDR": "203.0.113.9"}
    assert admin.patch(f"{PATH}/admin", json=body, headers=token, environ_base=there).status_code == 400
    assert lists(admin.get(PATH))["admin"] == lists(admin.get(PATH))["admin"] | {"enabled": False, "networks": []}


def test_unknown_list_is_not_found(admin):
    assert admin.send("PATCH", f"{PATH}/probes", json={}).status_code == 404


class TestWithEnvironment:
    @pytest.fixture
    def settings(self, settings):
        return replace(settings, external_allowlist_enabled=False)

    def test_values_of_the_environment_are_shown(self, admin):
        answer = admin.send("PATCH", f"{PATH}/external", json={"enabled": True, "networks": ["198.51.100.7"]})
        found = lists(answer)["external"]
        assert (found["enabled"], found["enabledByEnvironment"], found["networksByEnvironment"]) == (False, True, False)
