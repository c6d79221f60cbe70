"""The tabs of API keys and of network access."""

import re
from dataclasses import replace
from datetime import date
from ipaddress import ip_network

import pytest

from app.accounts import api_keys, network_access
from app.accounts.api_keys import KeyStatus

KEYS, ACCESS = "/settings/?tab=keys", "/settings/?tab=access"


@pytest.fixture
def make(admin, clock):
    """Create a key with the form; return the response."""

    def make(**entries):
        return admin.send("POST", "/settings/keys", data={"name": "nas", "scope": "upload", **entries})

    return make


def error_at(page: str, field: str) -> str:
    found = re.search(rf'id="{field}-error">.*?<span>(.*?)</span>', page, re.DOTALL)
    return found[1] if found else ""


class TestKeys:
    def test_a_secret_is_shown_once_and_grants_access(self, make, admin, db, clock):
        secret = re.search(r'id="secret-once"[^>]*>([^<]+)<', make().text)[1]
        assert api_keys.key_status(secret, "upload", now=clock.now, ip_address=None) is KeyStatus.GOOD
        page = admin.get(KEYS).text
        assert secret not in page
        assert f"{secret[:4]}…{secret[-4:]}" in page

    @pytest.mark.parametrize(
        ("entries", "field", "sentence"),
        [
            ({"name": " "}, "name", "Enter a name that describes who uses the key."),
            ({"name": "x" * 101}, "name", "100 characters"),
            ({"scope": "root"}, "scope", "from the list"),
            ({"last_valid_day": "2031-05-03"}, "last_valid_day", "This date has passed. Enter a later date."),
            ({"last_valid_day": "tomorrow"}, "last_valid_day", "Enter a valid date."),
        ],
    )
    def test_invalid_input_is_reported_at_its_field(self, entries, field, sentence, make, db):
        answer = make(**entries)
        assert answer.status_code == 400
        assert sentence in error_at(answer.text, field)
        assert api_keys.list_keys() == []

    def test_a_key_expires_after_its_last_day(self, make, admin, clock, db):
        make(last_valid_day=str(date(2031, 5, 4)))
        [key] = api_keys.list_keys()
        clock.advance(days=1)
        assert key.is_expired(clock.now)
        admin.sign_in()
        page = admin.get(KEYS).text
        assert "Expired" in page
        assert f"/settings/keys/{key.id}/switch" not in page
        rejected = admin.send(
            "POST", f"/settings/keys/{key.id}/switch", data={"is_enabled": "1"}, follow_redirects=True
        )
        assert "has expired" in rejected.text

    def test_a_key_is_disabled_enabled_and_deleted_after_confirmation(self, make, admin, db):
        make()
        [key] = api_keys.list_keys()
        for state in ("0", "1"):
            admin.send("POST", f"/settings/keys/{key.id}/switch", data={"is_enabled": state})
            db.session.rollback()
            assert api_keys.find_key(key.id).is_enabled is (state == "1")
        assert "Delete key nas?" in admin.get(f"/settings/keys/{key.id}/delete").text
        admin.send("POST", f"/settings/keys/{key.id}/delete")
        db.session.rollback()
        assert api_keys.list_keys() == []

    def test_keys_can_be_required(self, admin, client, db):
        admin.send("POST", "/settings/keys/requirement", data={"is_required": "1"})
        assert client.get("/api/summary").status_code == 401
        assert 'aria-checked="true"' in admin.get(KEYS).text
        admin.send("POST", "/settings/keys/requirement", data={"is_required": "0"})
        assert client.get("/api/summary").status_code == 200


class TestAllowLists:
    def save(self, admin, zone, networks, *, is_enabled=True):
        values = {f"{zone}-networks": networks} | ({f"{zone}-is_enabled": "y"} if is_enabled else {})
        return admin.send("POST", f"/settings/access/{zone}", data=values)

    def test_the_own_address_is_shown(self, admin):
        assert "<strong>127.0.0.1</strong>" in admin.get(ACCESS).text

    def test_a_list_is_stored_and_applied(self, admin, app, db):
        assert self.save(admin, "external", "192.0.2.0/24\n198.51.100.7, fd00::/8").status_code == 303
        state = network_access.describe_lists()[1]
        assert state.networks == ["192.0.2.0/24", "198.51.100.7/32", "fd00::/8"]
        other_client = app.test_client()
        assert other_client.get("/api/summary", environ_base={"REMOTE_ADDR": "203.0.113.9"}).status_code == 403
        assert "198.51.100.7/32" in admin.get(ACCESS).text

    def test_an_invalid_network_is_reported_at_its_list(self, admin, db):
        answer = self.save(admin, "admin", "10.0.0.0/8\nhome")
        assert answer.status_code == 400
        assert "home" in error_at(answer.text, "admin-networks")
        assert error_at(answer.text, "external-networks") == ""
        assert "10.0.0.0/8\nhome</textarea>" in answer.text.replace("\r\n", "\n")
        assert not network_access.describe_lists()[0].is_enabled

    def test_own_address_cannot_be_locked_out(self, admin, app, db):
        token = admin.csrf_headers()
        values = {"admin-is_enabled": "y", "admin-networks": "10.0.0.0/8"}
        far = {"REMOTE_ADDR": "203.0.113.9"}
        answer = admin.post("/settings/access/admin", data=values, headers=token, environ_base=far)
        assert answer.status_code == 400
        assert "203.0.113.9 is not in the list" in error_at(answer.text, "admin-networks")
        assert not network_access.describe_lists()[0].is_enabled


class TestListsOfTheEnvironment:
    """Values of the environment are shown and cannot be changed."""

    @pytest.fixture
    def settings(self, settings):
        return replace(settings, external_allowlist_enabled=True, external_allowlist=(ip_network("192.0.2.0/24"),))

    def test_lists_of_the_environment_are_shown_read_only(self, admin):
        page = admin.get(ACCESS).text
        assert "192.0.2.0/24" in page
        assert "Disabled fields are set by environment variables." in page
        assert page.count("fieldset disabled") == 2


@pytest.mark.parametrize("path", ["keys", "keys/1/switch", "keys/1/delete", "keys/requirement", "access/admin"])
def test_other_accounts_cannot_change_keys(path, viewer):
    assert viewer.send("POST", f"/settings/{path}", data={}).status_code == 403
