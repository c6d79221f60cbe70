"""Pages of an account that may see some servers only."""

import pytest

from app.accounts import passwords
from app.accounts.models import ServerAccess, User
from app.core.db.orm import writing

PASSWORD = "Limited7Horse"


@pytest.fixture
def limited(app, clock, client, post):
    """A user who may see `nas`, while `vault` reports too."""
    post(server="nas")
    post(server="vault")
    with app.app_context(), writing() as session:
        user = User(id="guest", username="guest", password_hash=passwords.hash_password(PASSWORD))
        user.sees_all_servers, user.created_at, user.updated_at = False, clock.now, clock.now
        session.add(user)
        session.flush()
        session.add(ServerAccess(user_id="guest", server_id="id-of-nas"))
    visitor = app.test_client()
    assert visitor.sign_in("guest", PASSWORD).status_code == 200
    return visitor


def test_the_dashboard_shows_assigned_servers_only(limited):
    text = limited.get("/").text
    assert "id-of-nas" in text
    assert "vault" not in text


def test_the_page_of_another_server_is_not_found(limited):
    assert limited.get("/detail/id-of-nas").status_code == 200
    assert limited.get("/detail/id-of-vault").status_code == 404
    assert limited.get("/detail/id-of-vault/job?backup=Photos").status_code == 404


def test_a_run_of_another_server_is_not_found(limited, admin):
    link = admin.get("/detail/id-of-vault?size=5").text.split('id="run-row-')[1][:36]
    assert admin.get(f"/detail/id-of-vault/backup/{link}").status_code == 200
    for server in ("id-of-vault", "id-of-nas"):
        assert limited.get(f"/detail/{server}/backup/{link}").status_code == 404
        assert limited.get(f"/detail/{server}/backup/{link}/versions").status_code == 404


def test_the_charts_count_assigned_servers_only(limited, admin):
    assert f'data-value="{2 * 5 * 1024**2}' in admin.get("/charts").text
    text = limited.get("/charts").text
    assert f'data-value="{5 * 1024**2}' in text
    assert f'data-value="{2 * 5 * 1024**2}' not in text


def test_the_palette_lists_assigned_servers_only(limited):
    labels = {entry["label"] for entry in limited.get("/palette").get_json()}
    assert "nas" in labels
    assert not {"vault", "Users"} & labels


def test_an_overdue_check_counts_jobs_of_assigned_servers_only(limited, post):
    post(30, server="nas", job="Late")
    post(30, server="vault", job="Late")
    form = {"csrf_token": limited.get("/api/csrf").json["token"]}
    assert "2 jobs checked" in limited.post("/settings/monitoring/check", data=form, follow_redirects=True).text
    found = limited.send("POST", "/api/notifications/check-overdue").json["statistics"]
    assert found == {"totalBackupConfigs": 2, "checkedBackups": 2, "overdueBackupsFound": 1, "notificationsSent": 0}
