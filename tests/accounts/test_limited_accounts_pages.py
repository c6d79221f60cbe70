"""An account that may see chosen servers only."""

import pytest

from app.accounts import passwords
from app.accounts.models import ServerAccess, User
from app.core.db.orm import writing

PASSWORD = "Limited7Horse"


@pytest.fixture
def guest(app, clock, client, post):
    """A person who may see `nas`, while `vault` reports too."""
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


def test_the_dashboard_shows_chosen_servers_only(guest):
    text = guest.get("/").text
    assert "id-of-nas" in text
    assert "vault" not in text


def test_the_page_of_another_server_is_not_found(guest):
    assert guest.get("/detail/id-of-nas").status_code == 200
    assert guest.get("/detail/id-of-vault").status_code == 404
    assert guest.get("/detail/id-of-vault/job?backup=Photos").status_code == 404


def test_a_run_of_another_server_is_not_found(guest, admin):
    link = admin.get("/detail/id-of-vault?size=5").text.split('id="run-row-')[1][:36]
    assert admin.get(f"/detail/id-of-vault/backup/{link}").status_code == 200
    for server in ("id-of-vault", "id-of-nas"):
        assert guest.get(f"/detail/{server}/backup/{link}").status_code == 404
        assert guest.get(f"/detail/{server}/backup/{link}/versions").status_code == 404


def test_the_charts_count_chosen_servers_only(guest, admin):
    assert f'data-value="{2 * 5 * 1024**2}' in admin.get("/charts").text
    text = guest.get("/charts").text
    assert f'data-value="{5 * 1024**2}' in text
    assert f'data-value="{2 * 5 * 1024**2}' not in text


def test_the_palette_leads_to_chosen_servers_only(guest):
    labels = {entry["label"] for entry in guest.get("/palette").get_json()}
    assert "nas" in labels
    assert not {"vault", "Users"} & labels


def test_a_check_for_late_jobs_counts_those_of_chosen_servers_only(guest, post):
    post(30, server="nas", job="Late")
    post(30, server="vault", job="Late")
    form = {"csrf_token": guest.get("/api/csrf").json["token"]}
    assert "2 jobs checked" in guest.post("/settings/monitoring/check", data=form, follow_redirects=True).text
    found = guest.send("POST", "/api/notifications/check-overdue").json["statistics"]
    assert found == {"totalBackupConfigs": 2, "checkedBackups": 2, "overdueBackupsFound": 1, "notificationsSent": 0}
