"""The upload of reports over HTTP: responses, keys, rates and sizes."""

import gzip
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest
from factories import BEGAN_AT, report_body
from sqlalchemy import func, select

from app.accounts import api_keys
from app.backups.models import Run
from app.core.settings import store as settings_store
from app.reports import rejected
from app.reports.rejected import RejectedReport

ELSEWHERE = "192.0.2.44"
LIMIT = 1024 * 1024
STATUS_POSTS = Path(__file__).parents[1] / "data" / "duplicati" / "status"


@pytest.fixture
def settings(settings):
    """With limits that a test can reach."""
    return replace(settings, max_upload_bytes=LIMIT, uploads_per_minute=60, upload_burst=3)


@pytest.fixture
def upload(client):
    """Send a report from a remote address; JSON by default."""

    def upload(body: bytes | None = None, address: str = ELSEWHERE, path: str = "/api/upload", **options):
        options.setdefault("content_type", "application/json")
        return client.post(
            path, data=report_body() if body is None else body, environ_base={"REMOTE_ADDR": address}, **options
        )

    return upload


def count(db, table=Run) -> int:
    db.session.commit()
    return db.session.scalar(select(func.count()).select_from(table))


class TestAnswers:
    def test_stored_report_is_a_success(self, upload, db):
        answer = upload()
        assert (answer.status_code, answer.get_json()) == (200, {"success": True})
        assert count(db) == 1

    def test_duplicate_is_a_conflict(self, upload, db):
        upload()
        answer = upload()
        assert (answer.status_code, answer.get_json()["error"]) == (409, "ignored, duplicated data")
        assert count(db) == 1

    @pytest.mark.parametrize(
        ("body", "options"),
        [
            (report_body(), {"content_type": "text/plain"}),
            (report_body(), {"content_type": None}),
            (urlencode({"message": report_body()}).encode(), {"content_type": "application/x-www-form-urlencoded"}),
            (gzip.compress(report_body()), {"headers": {"Content-Encoding": "gzip"}}),
        ],
        ids=["text", "no type", "form field", "gzip"],
    )
    def test_report_is_accepted_in_every_form(self, upload, db, body, options):
        assert upload(body, **options).status_code == 200
        assert count(db) == 1

    def test_report_is_accepted_as_a_file_of_a_form(self, client, db):
        answer = client.post(
            "/api/upload", data={"message": report_body().decode()}, content_type="multipart/form-data"
        )
        assert (answer.status_code, count(db)) == (200, 1)

    @pytest.mark.parametrize(
        ("body", "extra"),
        [
            (b"not json", {}),
            (b"null", {}),
            (report_body(data={"MainOperation": "Restore"}, extra={"backup-name": ""}), {}),
            (json.dumps({"Data": {"MainOperation": "Backup"}}).encode(), {}),
            (
                report_body(extra={"backup-name": "", "machine-id": None}),
                {"missingFields": ["machine-id", "backup-name"]},
            ),
            (report_body(data={"Duration": ""}), {"missingFields": ["Duration"]}),
            (report_body(data={"BeginTime": "never"}), {}),
        ],
        ids=["not JSON", "null", "other operation", "no Extra", "fields of Extra", "fields of Data", "bad date"],
    )
    def test_invalid_report_is_a_400_with_the_reason(self, upload, db, body, extra):
        answer = upload(body)
        assert answer.status_code == 400
        result = answer.get_json()
        assert result["error"]
        assert result["timestamp"].endswith("Z")
        assert {name: result.get(name) for name in extra} == extra
        assert (count(db), count(db, RejectedReport)) == (0, 1)

    @pytest.mark.parametrize("operation", ["Restore", "Test", "ListFilesets", "Vacuum", "Something new"])
    def test_report_of_another_operation_is_accepted_and_not_stored(self, upload, db, operation):
        answer = upload(report_body(data={"MainOperation": operation}))
        assert answer.status_code == 200
        body = answer.get_json()
        assert (body["success"], body["stored"], operation in body["reason"]) == (True, False, True)
        assert (count(db), count(db, RejectedReport)) == (0, 0)

    def test_every_recorded_status_of_a_running_operation_is_accepted_and_not_stored(self, upload, db):
        lines = [line for path in sorted(STATUS_POSTS.iterdir()) for line in path.read_text().splitlines()]
        bodies = [json.dumps(json.loads(line)["body"]).encode() for line in lines]
        answers = [upload(body, address="127.0.0.1") for body in bodies]
        assert {(answer.status_code, answer.get_json()["stored"]) for answer in answers} == {(200, False)}
        assert (count(db), count(db, RejectedReport)) == (0, 0)

    def test_response_does_not_repeat_the_body(self, upload):
        body = report_body(data={"Duration": "", "Warnings": ["<script>hidden"]}, extra={"RemoteUrl": "ftp://secret"})
        assert b"hidden" not in upload(body).data
        assert b"secret" not in upload(body).data

    @pytest.mark.parametrize("method", ["get", "put", "delete"])
    def test_other_methods_are_rejected_as_json(self, client, method):
        answer = getattr(client, method)("/api/upload")
        assert (answer.status_code, answer.is_json) == (405, True)

    def test_upload_sets_no_cookie(self, upload):
        assert "Set-Cookie" not in upload().headers

    def test_of_two_equal_concurrent_reports_one_is_stored(self, app, db):
        barrier = threading.Barrier(2)

        def send(_number):
            barrier.wait(10)
            return app.test_client().post("/api/upload", data=report_body()).status_code

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(send, range(2))) == [200, 409]
        assert count(db) == 1


class TestSizes:
    def test_body_over_the_limit_is_rejected(self, upload, db):
        answer = upload(b" " * (LIMIT + 1))
        assert (answer.status_code, bool(answer.get_json()["error"])) == (413, True)
        assert count(db) == 0

    def test_body_at_the_limit_is_read(self, upload):
        body = report_body()
        assert upload(body + b" " * (LIMIT - len(body))).status_code == 200

    def test_small_body_that_decompresses_to_a_large_one_is_rejected(self, upload, db):
        bomb = gzip.compress(b" " * 200 * LIMIT)
        assert len(bomb) < LIMIT
        assert upload(bomb, headers={"Content-Encoding": "gzip"}).status_code == 413
        assert sum(len(row.body) for row in db.session.scalars(select(RejectedReport))) < 100

    def test_body_of_unknown_length_is_rejected_beyond_the_limit(self, client, db):
        stream = {"wsgi.input": Endless(), "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
        answer = client.post("/api/upload", environ_overrides=stream)
        assert (answer.status_code, count(db)) == (413, 0)


class Endless:
    """A body that never ends, as a chunked sender may send it."""

    def __init__(self) -> None:
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        self.given += 65_536
        assert self.given < 10 * LIMIT, "the server reads on and on"
        return b" " * 65_536

    readline = read

    def close(self) -> None:
        """Close nothing."""


class TestKeys:
    @pytest.fixture
    def secret(self, db, clock):
        """A valid key."""
        return api_keys.create_key("Duplicati", "upload", now=clock()).secret

    @pytest.fixture
    def required(self, db, clock):
        """Keys are required."""
        settings_store.put("requires_api_keys", True, now=clock())

    @pytest.mark.usefixtures("required")
    def test_missing_key_is_unauthorized(self, upload, db):
        answer = upload()
        assert (answer.status_code, count(db), count(db, RejectedReport)) == (401, 0, 0)

    @pytest.mark.usefixtures("required")
    def test_missing_key_is_unauthorized_on_localhost_too(self, upload):
        assert upload(address="127.0.0.1").status_code == 401

    @pytest.mark.usefixtures("required")
    @pytest.mark.parametrize("way", ["query", "X-Api-Key", "Authorization"])
    def test_valid_key_is_accepted_in_every_place(self, upload, secret, way):
        headers = {"X-Api-Key": {"X-Api-Key": secret}, "Authorization": {"Authorization": f"Bearer {secret}"}}
        path = f"/api/upload?api_key={secret}" if way == "query" else "/api/upload"
        assert upload(path=path, headers=headers.get(way)).status_code == 200

    @pytest.mark.usefixtures("required")
    def test_read_key_is_forbidden(self, upload, db, clock):
        secret = api_keys.create_key("widget", "read", now=clock()).secret
        assert upload(headers={"X-Api-Key": secret}).status_code == 403

    @pytest.mark.usefixtures("required")
    def test_expired_key_is_unauthorized(self, upload, db, clock):
        secret = api_keys.create_key("old", "upload", now=clock(), expires_at=clock()).secret
        assert upload(headers={"X-Api-Key": secret}).status_code == 401

    @pytest.mark.usefixtures("required")
    def test_disabled_key_is_unauthorized(self, upload, db, clock):
        new = api_keys.create_key("off", "upload", now=clock())
        api_keys.set_enabled(new.key.id, False, now=clock())
        assert upload(headers={"X-Api-Key": new.secret}).status_code == 401

    @pytest.mark.parametrize("sent", ["nonsense", None])
    def test_invalid_key_is_ignored_while_none_is_required(self, upload, sent):
        assert upload(headers={"X-Api-Key": sent} if sent else {}).status_code == 200

    def test_valid_key_is_recorded_although_none_is_required(self, upload, secret, db, clock):
        upload(headers={"X-Api-Key": secret})
        db.session.expire_all()
        assert (api_keys.list_keys()[0].last_used_at, api_keys.list_keys()[0].last_used_ip) == (clock(), ELSEWHERE)

    @pytest.fixture
    def guess(self, client):
        """Send 25 requests with an invalid key."""
        path = {"path": "/api/summary", "environ_base": {"REMOTE_ADDR": ELSEWHERE}, "headers": {"X-Api-Key": "guess"}}
        return lambda: [client.get(**path).status_code for _ in range(25)]

    @pytest.mark.usefixtures("required")
    def test_guessing_is_rate_limited(self, guess):
        assert guess() == [401] * 20 + [429] * 5

    def test_unrequired_invalid_key_is_ignored_at_any_rate(self, guess):
        assert guess() == [200] * 25


class TestRates:
    def test_too_many_requests_are_rejected_with_the_time_to_wait(self, upload, clock):
        assert [upload(b"{}").status_code for _ in range(3)] == [400] * 3
        answer = upload()
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
        assert answer.get_json()["error"]
        clock.advance(seconds=1)
        assert upload().status_code == 200

    def test_addresses_do_not_share_a_rate(self, upload):
        assert [upload(b"{}").status_code for _ in range(4)][-1] == 429
        assert upload(address="192.0.2.45").status_code == 200

    @pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
    def test_localhost_is_not_limited(self, upload, address):
        assert {upload(b"{}", address=address).status_code for _ in range(10)} == {400}

    def test_address_claimed_by_a_client_is_ignored(self, upload):
        for number in range(3):
            upload(b"{}", headers={"X-Forwarded-For": f"198.51.100.{number}"})
        assert upload(headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 429

    def test_reading_has_its_own_rate(self, upload, client):
        for _ in range(4):
            upload(b"{}")
        assert client.get("/api/summary", environ_base={"REMOTE_ADDR": ELSEWHERE}).status_code == 200


def test_rejected_upload_is_kept_with_its_sender(upload, db):
    upload(report_body(data={"BeginTime": "never"}))
    row = db.session.scalars(select(RejectedReport)).one()
    assert (row.ip_address, row.status_code) == (ELSEWHERE, 400)
    assert b"never" in rejected.body_of(row)


def test_response_right_after_an_upload_shows_it(upload, client):
    for number in range(3):
        upload(report_body(began_at=BEGAN_AT.replace(minute=number)))
        assert client.get("/api/summary").get_json()["totalBackupsRuns"] == number + 1
        latest = client.get("/api/lastbackup/machine-1").get_json()["latest_backup"]
        assert latest["date"] == f"2031-05-04T11:0{number}:00.000Z"
