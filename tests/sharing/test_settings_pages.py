"""The tabs of publishing and of uploads."""

import re
from html import unescape

import pytest
from factories import report_body, report_document
from sqlalchemy import select

from app.backups.models import Run
from app.core.errors import Refused
from app.reports import ingest, rejected
from app.reports import settings as upload_settings
from app.reports.parser import compress_body
from app.sharing import badges, metrics

PUBLISHING, UPLOADS = "/settings/?tab=publishing", "/settings/?tab=uploads"


def error_at(page: str, field: str) -> str:
    found = re.search(rf'id="{field}-error">.*?<span>(.*?)</span>', page, re.DOTALL)
    return unescape(found[1]) if found else ""


class TestMetrics:
    def test_metrics_are_enabled_and_disabled(self, admin, client, db):
        assert client.get("/metrics").status_code == 404
        admin.send("POST", "/settings/publishing/metrics", data={"is_enabled": "on"})
        assert client.get("/metrics").status_code == 200
        assert "http://localhost/metrics" in admin.get(PUBLISHING).text
        admin.send("POST", "/settings/publishing/metrics", data={"is_enabled": "on", "needs_key": "on"})
        assert client.get("/metrics").status_code == 401
        admin.send("POST", "/settings/publishing/metrics", data={})
        assert not metrics.are_enabled()


class TestBadges:
    @pytest.fixture
    def make(self, admin):
        def make(**entries):
            return admin.send("POST", "/settings/publishing/badges", data=entries)

        return make

    def test_a_badge_of_a_job_is_created_and_can_be_copied(self, make, admin, client, post):
        post(server="nas", job="Photos [all]")
        page = admin.get(PUBLISHING).text
        choice = unescape(re.search(r'<option value="([^"]+)">Photos \[all\]</option>', page)[1])
        assert make(shows=choice, slug="photos").status_code == 303
        page = unescape(admin.get(PUBLISHING).text)
        address = "http://localhost/badge/photos.svg"
        assert rf"[![Photos \[all\]]({address})](http://localhost)" in page
        assert f'<img src="{address}" alt="Photos [all]"' in unescape(page)
        assert client.get("/badge/photos.svg").status_code == 200

    @pytest.mark.parametrize(
        ("entries", "field", "sentence"),
        [
            ({"slug": "../up"}, "slug", "starting with a letter"),
            ({"slug": "taken"}, "slug", "Another badge uses this name. Enter a different one."),
            ({"shows": '["nowhere", null]'}, "shows", "This server or job no longer exists. Select another one."),
            ({"shows": "[1,"}, "shows", "This server or job no longer exists. Select another one."),
            ({"shows": "7"}, "shows", "This server or job no longer exists. Select another one."),
        ],
    )
    def test_invalid_input_is_reported_at_its_field(self, entries, field, sentence, make, db):
        make(slug="taken")
        answer = make(**entries)
        assert answer.status_code == 400
        assert sentence in error_at(answer.text, field)
        db.session.rollback()
        assert len(badges.list_badges()) == 1

    def test_a_badge_is_deleted_after_confirmation(self, make, admin, client):
        make(slug="mine", label="Mine")
        assert "Delete badge Mine?" in admin.get("/settings/publishing/badges/mine/delete").text
        admin.send("POST", "/settings/publishing/badges/mine/delete")
        assert client.get("/badge/mine.svg").status_code == 404
        assert admin.get("/settings/publishing/badges/mine/delete").status_code == 404


class TestUploads:
    @pytest.fixture
    def rejected(self, client):
        """Return the number of a rejected upload that names no job."""
        document = report_document(job_name="", extra={"RemoteUrl": "s3://user:hidden@host"})
        assert client.post("/api/upload", json=document).status_code == 400
        return 1

    @pytest.fixture
    def rejected_before(self, app, clock):
        """Return the number of a report that older rules rejected and current ones accept."""
        with app.app_context():
            kept, error = (
                compress_body(report_body(), "application/json"),
                Refused("Only reports of backups are taken"),
            )
            rejected.keep_rejected(kept, error, sent=report_body(), ip_address="192.0.2.7", now=clock())
        return 1

    def test_settings_are_stored(self, admin, db):
        values = {"public_url": "https://b.example.org/", "max_upload_mib": "3", "keeps_other_operations": "y"}
        assert admin.send("POST", "/settings/uploads", data=values).status_code == 303
        assert upload_settings.describe_settings() == upload_settings.UploadSettings(
            True, 3 * 1024**2, 3, "https://b.example.org"
        )
        page = admin.get(UPLOADS).text
        assert 'value="https://b.example.org"' in page
        assert "https://b.example.org/api/upload" in page
        admin.send("POST", "/settings/uploads", data={"public_url": "", "max_upload_mib": ""})
        db.session.rollback()
        assert upload_settings.describe_settings() == upload_settings.UploadSettings(False, 16 * 1024**2, None, "")

    @pytest.mark.parametrize(
        ("field", "value"), [("public_url", "backups"), ("max_upload_mib", "0"), ("max_upload_mib", "many")]
    )
    def test_invalid_input_is_reported_at_its_field(self, field, value, admin, db):
        answer = admin.send("POST", "/settings/uploads", data={field: value, "keeps_other_operations": "y"})
        assert answer.status_code == 400
        assert error_at(answer.text, field)
        assert f'value="{value}"' in answer.text
        assert not ingest.keeps_other_operations()

    def test_a_rejected_upload_is_listed_and_shown_without_its_destination(self, admin, rejected):
        assert "backup-name" in admin.get(UPLOADS).text
        page = admin.get(f"/settings/uploads/{rejected}").text
        assert "MainOperation" in page
        assert "hidden@" not in page

    def test_an_upload_that_is_still_rejected_shows_the_reason(self, admin, rejected):
        answer = admin.send("POST", f"/settings/uploads/{rejected}/replay", follow_redirects=True)
        assert "Not accepted." in answer.text

    def test_an_upload_retried_by_duplicati_is_listed_once_with_its_attempts(self, admin, client):
        for _ in range(4):
            client.post("/api/upload", json=report_document(job_name=""))
        page = admin.get(UPLOADS).text
        assert (page.count("/replay"), "4 attempts" in page) == (1, True)

    def test_a_rejected_upload_is_accepted_when_the_rules_allow_it(self, admin, rejected_before, db):
        again = f"/settings/uploads/{rejected_before}/replay"
        assert "The report was accepted." in admin.send("POST", again, follow_redirects=True).text
        assert "Accepted" in admin.get(UPLOADS).text
        assert "This run is already stored." in admin.send("POST", again, follow_redirects=True).text
        db.session.rollback()
        assert len(db.session.scalars(select(Run)).all()) == 1

    def test_a_rejected_upload_is_deleted_after_confirmation(self, admin, rejected):
        assert "Delete this report?" in admin.get(f"/settings/uploads/{rejected}/delete").text
        admin.send("POST", f"/settings/uploads/{rejected}/delete")
        assert "No rejected reports" in admin.get(UPLOADS).text
        assert admin.get(f"/settings/uploads/{rejected}").status_code == 404


@pytest.mark.parametrize(
    "path",
    ["publishing/metrics", "publishing/badges", "publishing/badges/x/delete", "uploads", "uploads/1/replay"],
)
def test_other_accounts_cannot_change_settings(path, viewer):
    assert viewer.send("POST", f"/settings/{path}", data={}).status_code == 403
