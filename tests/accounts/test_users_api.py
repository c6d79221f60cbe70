"""Management of accounts over HTTP."""

import pytest
from factories import make_run
from sqlalchemy import select

from app.accounts import passwords, users
from app.accounts.models import User
from app.audit.log import SYSTEM, AuditEntry
from app.core.errors import Refused

GOOD = "Viewer1234"


@pytest.fixture
def send(admin, db):
    """Send a changing request as an administrator; return status and body."""

    def send(method: str, path: str, body=None):
        answer = admin.send(method, f"/api/users{path}", json=body)
        return answer.status_code, answer.get_json()

    return send


@pytest.fixture
def make(send):
    """Create an account whose password need not be changed; return it as the API does."""

    def make(username: str = "viewer", **fields):
        body = {"username": username, "password": GOOD, "requirePasswordChange": False, **fields}
        status, answer = send("POST", "", body)
        assert status == 201
        return answer["user"]

    return make


@pytest.fixture
def sign_in(app):
    """Sign in; return the client."""

    def sign_in(username: str = "viewer", password: str = GOOD):
        client = app.test_client()
        assert client.sign_in(username, password).status_code == 200
        return client

    return sign_in


def stored(db, user_id: str) -> User:
    db.session.commit()
    return db.session.get_one(User, user_id, populate_existing=True)


def last_entry(db) -> AuditEntry:
    db.session.commit()
    return db.session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1)).one()


def admin_id(db) -> str:
    return db.session.scalars(select(User.id).where(User.username == "admin")).one()


class TestList:
    def test_page_has_the_fields_of_the_contract(self, admin, db):
        body = admin.get("/api/users").get_json()
        assert body["pagination"] == {"page": 1, "limit": 50, "total": 1, "totalPages": 1}
        assert body["users"][0] == {
            "id": admin_id(db),
            "username": "admin",
            "isAdmin": True,
            "mustChangePassword": False,
            "createdAt": body["users"][0]["createdAt"],
            "updatedAt": body["users"][0]["updatedAt"],
            "lastLoginAt": "2031-05-04 12:00:00",
            "lastLoginIp": "127.0.0.1",
            "failedLoginAttempts": 0,
            "lockedUntil": None,
            "isLocked": False,
            "allServers": True,
            "serverIds": [],
        }

    def test_accounts_are_ordered_by_name_and_paged(self, admin, make):
        for name in ("carol", "bob", "zoe"):
            make(name)
        body = admin.get("/api/users?limit=2&page=2").get_json()
        assert [user["username"] for user in body["users"]] == ["carol", "zoe"]
        assert body["pagination"] == {"page": 2, "limit": 2, "total": 4, "totalPages": 2}

    @pytest.mark.parametrize(("search", "found"), [("IEW", 1), ("%", 0), ("_", 0), ("nobody", 0), ("", 2)])
    def test_search_matches_a_part_of_the_name(self, admin, make, search, found):
        make("viewer")
        assert admin.get("/api/users", query_string={"search": search}).get_json()["pagination"]["total"] == found

    @pytest.mark.parametrize(("limit", "used"), [("-5", 1), ("0", 1), ("99999", 1000)])
    def test_out_of_range_limits_are_clamped(self, admin, limit, used):
        assert admin.get(f"/api/users?limit={limit}").get_json()["pagination"]["limit"] == used

    @pytest.mark.parametrize("query", ["limit=x", "page=x", "page=", "limit=1e3"])
    def test_invalid_number_counts_as_missing(self, admin, query):
        assert admin.get(f"/api/users?{query}").get_json()["pagination"]["limit"] == 50

    def test_lock_is_reported(self, admin, app, make):
        make("viewer")
        for _ in range(5):
            app.test_client().sign_in("viewer", "wrong")
        listed = admin.get("/api/users?search=viewer").get_json()["users"][0]
        assert (listed["isLocked"], listed["lockedUntil"]) == (True, "2031-05-04 12:15:00")

    def test_other_accounts_have_no_access(self, make, sign_in):
        make("viewer")
        assert sign_in().get("/api/users").status_code == 403


class TestCreate:
    def test_account_can_sign_in(self, make, sign_in):
        user = make("  Viewer ")
        assert (user["username"], user["isAdmin"], user["mustChangePassword"]) == ("viewer", False, False)
        assert sign_in("viewer").get("/api/auth/me").get_json()["user"]["id"] == user["id"]

    @pytest.mark.parametrize("body", [{}, {"username": ""}, {"username": "  "}, {"username": 7}, {"username": None}])
    def test_name_is_required(self, send, body):
        status, answer = send("POST", "", body)
        assert (status, answer["error"]) == (400, "Username is required")

    @pytest.mark.parametrize("username", ["ab", "x" * 51, " " * 48 + "abc"])
    def test_name_has_a_length(self, send, username):
        assert send("POST", "", {"username": username, "password": GOOD})[0] == 400

    def test_spaces_count_for_the_length_as_in_the_original(self, make):
        assert make(" ab ")["username"] == "ab"

    def test_weak_password_is_rejected_with_every_reason(self, send):
        status, body = send("POST", "", {"username": "weak", "password": "x"})
        assert (status, len(body["validationErrors"])) == (400, 3)

    def test_name_in_use_is_a_conflict_regardless_of_case(self, make, send):
        make("viewer")
        assert send("POST", "", {"username": " VIEWER ", "password": GOOD})[0] == 409

    @pytest.mark.parametrize("password", [None, "", "  "])
    def test_temporary_password_satisfies_the_policy_and_works(self, send, app, password):
        status, body = send("POST", "", {"username": "viewer", "password": password})
        assert (status, body["user"]["mustChangePassword"]) == (201, True)
        assert len(body["temporaryPassword"]) >= 12
        with app.app_context():
            assert passwords.policy().find_violations(body["temporaryPassword"]) == []
        assert app.test_client().sign_in("viewer", body["temporaryPassword"]).status_code == 200

    def test_chosen_password_is_not_returned(self, send):
        assert "temporaryPassword" not in send("POST", "", {"username": "viewer", "password": GOOD})[1]

    @pytest.mark.parametrize(("value", "taken"), [(1, True), ("no", True), ([], True), (0, False), ("", False)])
    def test_role_follows_truthiness(self, send, value, taken):
        assert send("POST", "", {"username": "x-1", "password": GOOD, "isAdmin": value})[1]["user"]["isAdmin"] is taken

    def test_creation_is_recorded_without_the_password(self, send, db):
        send("POST", "", {"username": "viewer"})
        assert (last_entry(db).action, last_entry(db).category) == ("user_created", "user")
        assert last_entry(db).details == {
            "is_admin": False,
            "must_change_password": True,
            "temp_password": "[REDACTED]",
            "created_by": "admin",
            "targetUsername": "viewer",
        }


class TestUpdate:
    def test_name_and_role_change(self, make, send):
        user = make()
        status, body = send("PATCH", f"/{user['id']}", {"username": " Viewer2 ", "isAdmin": True})
        assert (status, body["user"]["username"], body["user"]["isAdmin"]) == (200, "viewer2", True)

    def test_omitted_fields_are_unchanged(self, make, send):
        user = make()
        assert send("PATCH", f"/{user['id']}", {"username": "  "})[1]["user"] == user

    def test_unknown_account(self, send):
        assert send("PATCH", "/none", {"username": "q"})[0] == 404

    def test_name_in_use_is_a_conflict(self, make, send):
        assert send("PATCH", f"/{make()['id']}", {"username": "Admin"})[0] == 409

    def test_reset_gives_a_temporary_password_that_must_be_changed(self, make, send, app):
        user = make()
        _, body = send("PATCH", f"/{user['id']}", {"resetPassword": True, "requirePasswordChange": False})
        assert body["user"]["mustChangePassword"] is True
        assert app.test_client().sign_in("viewer", body["temporaryPassword"]).status_code == 200

    def test_reset_ends_the_sessions_of_the_account(self, make, send, sign_in):
        user = make()
        viewer = sign_in()
        send("PATCH", f"/{user['id']}", {"resetPassword": True})
        assert viewer.get("/api/dashboard").status_code == 401

    @pytest.mark.parametrize("value", [False, 1, "true", None])
    def test_reset_needs_the_value_true(self, make, send, value):
        assert "temporaryPassword" not in send("PATCH", f"/{make()['id']}", {"resetPassword": value})[1]

    def test_last_administrator_cannot_be_demoted(self, send, db):
        assert send("PATCH", f"/{admin_id(db)}", {"isAdmin": False})[0] == 400
        assert stored(db, admin_id(db)).is_admin

    def test_one_of_two_administrators_can_be_demoted(self, make, send):
        user = make(isAdmin=True)
        assert send("PATCH", f"/{user['id']}", {"isAdmin": False})[1]["user"]["isAdmin"] is False

    def test_role_applies_at_once(self, make, send, sign_in):
        user = make(isAdmin=True)
        viewer = sign_in()
        assert viewer.get("/api/users").status_code == 200
        send("PATCH", f"/{user['id']}", {"isAdmin": False})
        assert viewer.get("/api/users").status_code == 403

    def test_change_is_recorded_from_and_to(self, make, send, db):
        send("PATCH", f"/{make()['id']}", {"username": "viewer2", "isAdmin": True})
        assert (last_entry(db).action, last_entry(db).details) == (
            "user_updated",
            {
                "username": {"from": "viewer", "to": "viewer2"},
                "is_admin": {"from": False, "to": True},
                "targetUsername": "viewer",
            },
        )

    def test_reset_is_recorded_separately(self, make, send, db):
        send("PATCH", f"/{make()['id']}", {"resetPassword": True})
        assert (last_entry(db).action, last_entry(db).details) == (
            "password_reset",
            {"reset_by": "admin", "temp_password": "[REDACTED]", "targetUsername": "viewer"},
        )


class TestDelete:
    def test_account_is_deleted_with_its_sessions(self, make, send, sign_in):
        user = make()
        viewer = sign_in()
        status, body = send("DELETE", f"/{user['id']}")
        assert (status, body) == (200, {"success": True, "message": "User deleted successfully"})
        assert viewer.get("/api/dashboard").status_code == 401

    def test_unknown_account(self, send):
        assert send("DELETE", "/none")[0] == 404

    def test_own_account_cannot_be_deleted(self, send, db):
        assert send("DELETE", f"/{admin_id(db)}")[0] == 400

    def test_last_administrator_cannot_be_deleted(self, send, db):
        with pytest.raises(Refused, match="last admin"):
            users.delete_account(admin_id(db), actor=SYSTEM, now=stored(db, admin_id(db)).created_at)

    def test_deletion_is_recorded(self, make, send, db):
        send("DELETE", f"/{make()['id']}")
        assert last_entry(db).details == {
            "deleted_username": "viewer",
            "was_admin": False,
            "deleted_by": "admin",
            "targetUsername": "viewer",
        }


class TestServerAccess:
    @pytest.fixture
    def limited(self, make, sign_in):
        """A user who may see only machine-1 of two servers."""
        make_run()
        make_run(server_id="machine-2", server_name="hidden")
        make("viewer", serverIds=["machine-1"])
        return sign_in()

    def test_list_alone_limits_the_account(self, make):
        make_run()
        user = make("viewer", serverIds=["machine-1"])
        assert (user["allServers"], user["serverIds"]) == (False, ["machine-1"])

    @pytest.mark.parametrize(
        "path",
        [
            "dashboard",
            "servers",
            "servers?includeBackups=true",
            "backups/last-timestamps",
            "chart-data/aggregated",
            "chart-data/aggregated?all=true",
            "chart-data/aggregated?startDate=2031-05-01&endDate=2031-05-31",
            "chart-data/aggregated?series=duration&all=true",
        ],
    )
    def test_hidden_servers_are_left_out(self, limited, path):
        answer = limited.get(f"/api/{path}")
        assert answer.status_code == 200
        assert "machine-2" not in answer.text
        assert "hidden" not in answer.text

    def test_chart_sums_leave_out_hidden_servers(self, limited, admin):
        assert len(limited.get("/api/chart-data/aggregated").get_json()) == 1
        assert len(admin.get("/api/chart-data/aggregated").get_json()) == 2

    @pytest.mark.parametrize("path", ["servers/machine-2", "detail/machine-2", "servers/machine-2/server-url"])
    def test_hidden_server_is_not_found(self, limited, path):
        assert limited.get(f"/api/{path}").status_code == 404

    @pytest.mark.parametrize("path", ["machine-2", "machine-2/backup/photos"])
    def test_chart_of_a_hidden_server_is_empty(self, limited, path):
        assert limited.get(f"/api/chart-data/server/{path}").get_json() == []

    def test_access_can_be_widened_again(self, limited, admin, send):
        user = admin.get("/api/users?search=viewer").get_json()["users"][0]
        send("PATCH", f"/{user['id']}", {"allServers": True})
        assert len(limited.get("/api/servers").get_json()) == 2

    def test_unknown_server_in_the_list_is_named(self, make, send):
        status, body = send("PATCH", f"/{make()['id']}", {"serverIds": ["nobody"]})
        assert (status, "nobody" in body["error"]) == (400, True)

    def test_rejected_list_creates_no_account(self, send, admin):
        assert send("POST", "", {"username": "viewer", "serverIds": ["nobody"]})[0] == 400
        assert admin.get("/api/users?search=viewer").get_json()["users"] == []

    def test_change_of_access_is_recorded(self, make, send, db):
        make_run()
        send("PATCH", f"/{make()['id']}", {"serverIds": ["machine-1"]})
        assert last_entry(db).details["server_ids"] == {"from": [], "to": ["machine-1"]}
        assert last_entry(db).details["all_servers"] == {"from": True, "to": False}


def test_a_locked_account_is_unlocked_early(admin, client):
    new = {"username": "berta", "password": "Berta12345", "requirePasswordChange": False}
    user_id = admin.send("POST", "/api/users", json=new).json["user"]["id"]
    for _ in range(5):
        client.sign_in("berta", "wrong")
    assert client.sign_in("berta", "Berta12345").status_code == 403
    assert admin.send("POST", f"/api/users/{user_id}/unlock").json["success"] is True
    assert client.sign_in("berta", "Berta12345").status_code == 200
    assert admin.send("POST", "/api/users/nobody/unlock").status_code == 404
