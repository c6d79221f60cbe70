"""The first sign-in with the documented password, which must be changed before anything else."""

import pytest

from app.config import DEFAULT_PASSWORD, Settings


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(data_dir=tmp_path / "data", run_jobs=False, testing=True)


def test_the_sign_in_page_names_the_documented_account(client):
    assert DEFAULT_PASSWORD in client.get("/login").text


def test_every_page_redirects_to_the_new_password(client):
    client.sign_in(password=DEFAULT_PASSWORD)
    assert client.get("/").headers["Location"] == "/change-password"
    text = client.get("/change-password").text
    assert "Set a new password" in text
    assert 'name="current"' not in text


def test_after_the_change_the_dashboard_opens(client):
    client.sign_in(password=DEFAULT_PASSWORD)
    fields = {"new": "Another8Horse", "confirm": "Another8Horse"}
    assert client.send("POST", "/change-password", data=fields).headers["Location"] == "/"
    assert client.get("/").status_code == 200
