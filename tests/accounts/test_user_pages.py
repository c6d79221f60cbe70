"""The tab of accounts: listing, creating, changing, resetting, unlocking and deleting, with errors at their fields."""

import re

import pytest
from sqlalchemy import select

from app.accounts import passwords, users
from app.accounts.models import User
from app.audit.log import AuditEntry

TAB = "/settings/?tab=users"
NEW = {"username": "anna", "makes_password": "y", "must_change_password": "y", "sees": "all"}


@pytest.fixture
def send(admin):
    """Post a form below `/settings/users`; None leaves a value out."""

    def send(place: str, **entries):
        return admin.send("POST", f"/settings/users/{place}", data={k: v for k, v in entries.items() if v is not None})

    return send


def find(name: str, db) -> User:
    db.session.rollback()
    return db.session.scalars(select(User).where(User.username == name)).one()


def error_at(page: str, field: str) -> str:
    """Return the error of a field on a page."""
    found = re.search(rf'id="{field}-error">.*?<span>(.*?)</span>', page, re.DOTALL)
    return found[1] if found else ""


def rows(page: str) -> list[str]:
    return re.findall(r'<th scope="row"[^>]*>\s*<a[^>]*>([^<]+)</a>', page)


def test_a_generated_password_is_shown_once_and_works(send, admin, db, app):
    answer = send("new", **NEW)
    password = re.search(r'id="password-once"[^>]*>([^<]+)<', answer.text)[1].replace("&amp;", "&")
    assert passwords.is_right(password, find("anna", db).password_hash)
    assert find("anna", db).must_change_password
    assert password not in admin.get(TAB).text
    assert app.test_client().sign_in("anna", password).status_code == 200


def test_a_password_can_be_chosen(send, db):
    answer = send("new", **NEW | {"makes_password": None, "password": "Anna12345"})
    assert answer.status_code == 303
    assert passwords.is_right("Anna12345", find("anna", db).password_hash)


@pytest.mark.parametrize(
    ("entries", "field", "sentence"),
    [
        ({"username": "ab"}, "username", "3 to 50"),
        ({"username": "x" * 51}, "username", "3 to 50"),
        ({"username": "ADMIN "}, "username", "This username is already in use."),
        ({"makes_password": None, "password": "Tiny7"}, "password", "at least 8 characters"),
        ({"makes_password": None, "password": "Duplistatus09"}, "password", "The default password cannot be used."),
        ({"makes_password": None}, "password", "needs a digit"),
    ],
)
def test_invalid_input_is_reported_at_its_field_and_kept(entries, field, sentence, send, db):
    answer = send("new", **NEW | {"is_admin": "y"} | entries)
    assert answer.status_code == 400
    assert sentence in error_at(answer.text, field)
    assert f'value="{(NEW | entries)["username"]}"' in answer.text
    assert re.search(r"<input[^>]*checked[^>]*name=\"is_admin\"", answer.text)
    assert entries.get("password", "no-such-word") not in answer.text
    assert len(db.session.scalars(select(User)).all()) == 1


def test_an_account_can_be_limited_to_servers(send, admin, post, db):
    post(server="nas")
    post(server="attic")
    send("new", **NEW | {"sees": "chosen", "server_ids": "id-of-nas"})
    user = find("anna", db)
    assert users.find_account(user.id).server_ids == ("id-of-nas",)
    page = admin.get(f"/settings/users/{user.id}").text
    assert re.search(r'<input checked[^>]*name="server_ids"[^>]*value="id-of-nas"', page)
    assert "1 server" in admin.get(TAB).text
    send(user.id, username="anna", sees="all", server_ids="id-of-nas")
    assert find("anna", db).sees_all_servers


def test_the_last_administrator_cannot_be_demoted(send, db):
    answer = send(find("admin", db).id, username="admin", sees="all")
    assert answer.status_code == 400
    assert "must remain an administrator" in error_at(answer.text, "is_admin")
    assert find("admin", db).is_admin


def test_name_and_role_can_be_changed(send, db):
    send("new", **NEW)
    answer = send(find("anna", db).id, username="Berta", is_admin="y", sees="all")
    assert answer.status_code == 303
    user = find("berta", db)
    assert user.is_admin
    assert not user.must_change_password


def test_a_reset_needs_confirmation_and_ends_sessions(send, admin, app, db):
    send("new", **NEW | {"makes_password": None, "password": "Anna12345", "must_change_password": None})
    anna = app.test_client()
    anna.sign_in("anna", "Anna12345")
    user_id = find("anna", db).id
    assert "Reset password of anna?" in admin.get(f"/settings/users/{user_id}/password").text
    answer = send(f"{user_id}/password")
    password = re.search(r'id="password-once"[^>]*>([^<]+)<', answer.text)[1].replace("&amp;", "&")
    assert passwords.is_right(password, find("anna", db).password_hash)
    assert anna.get("/").status_code == 303


def test_a_locked_account_can_be_unlocked(send, admin, client, db):
    send("new", **NEW | {"makes_password": None, "password": "Anna12345"})
    for _ in range(5):
        client.sign_in("anna", "wrong")
    user_id = find("anna", db).id
    assert "Locked" in admin.get(TAB).text
    assert "Unlock now" in admin.get(f"/settings/users/{user_id}").text
    send(f"{user_id}/unlock")
    assert client.sign_in("anna", "Anna12345").status_code == 200
    db.session.rollback()
    [entry] = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "account_unlocked"))
    assert (entry.username, entry.target_id) == ("admin", user_id)


def test_deleting_needs_confirmation_and_deletes(send, admin, db):
    send("new", **NEW)
    user_id = find("anna", db).id
    assert "Delete anna?" in admin.get(f"/settings/users/{user_id}/delete").text
    assert send(f"{user_id}/delete").status_code == 303
    db.session.rollback()
    assert users.find_by_name("anna") is None


def test_the_own_account_cannot_be_deleted(send, admin, db):
    user_id = find("admin", db).id
    assert f"/settings/users/{user_id}/delete" not in admin.get(TAB).text
    answer = send(f"{user_id}/delete")
    assert answer.status_code == 400
    assert "cannot delete your own account" in answer.text
    assert find("admin", db).is_admin


def test_the_list_is_searched_and_sorted(send, admin):
    for name in ("anna", "berta"):
        send("new", **NEW | {"username": name})
    assert rows(admin.get(TAB).text) == ["admin", "anna", "berta"]
    assert rows(admin.get(f"{TAB}&sort=-name").text) == ["berta", "anna", "admin"]
    assert rows(admin.get(f"{TAB}&sort=role").text)[0] == "admin"
    assert rows(admin.get(f"{TAB}&q=ANN").text) == ["anna"]
    assert "No match for" in admin.get(f"{TAB}&q=nobody").text


@pytest.mark.parametrize("place", ["new", "{id}", "{id}/password", "{id}/delete", "{id}/unlock"])
def test_other_accounts_have_no_access(place, viewer, db):
    address = f"/settings/users/{place.format(id=find('admin', db).id)}"
    assert viewer.send("POST", address, data=NEW).status_code == 403
    if not place.endswith("unlock"):
        assert viewer.get(address).status_code == 403


def test_an_unknown_account_is_not_found(admin):
    assert admin.get("/settings/users/nobody").status_code == 404
