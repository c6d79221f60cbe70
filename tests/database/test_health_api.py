"""The health of the program: for probes without a database, and for users with details."""

import sqlite3

import pytest
from factories import report_body
from sqlalchemy import event, text


@pytest.fixture
def drop_table(db):
    """Drop a table."""

    def drop_table(table: str) -> None:
        with db.engine.begin() as connection:
            connection.execute(text("PRAGMA foreign_keys = OFF"))
            connection.execute(text(f"DROP TABLE {table}"))

    return drop_table


@pytest.fixture
def unreachable(db):
    """A database that accepts no new connection."""

    def reject(*_args, **_kwargs):
        raise sqlite3.OperationalError("unable to open database file /secret/place")

    db.session.remove()
    for engine in db.engines.values():
        engine.dispose()
        event.listen(engine, "do_connect", reject)
    yield
    for engine in db.engines.values():
        event.remove(engine, "do_connect", reject)


def test_ping_responds(client):
    answer = client.get("/api/ping")
    assert (answer.status_code, answer.get_json()) == (200, {"ok": True})
    assert "no-store" in answer.headers["Cache-Control"]


def test_ping_needs_no_database(client, unreachable):
    assert client.get("/api/ping").status_code == 200


def test_healthy_service_is_reported(client):
    answer = client.get("/api/health")
    body = answer.get_json()
    assert (answer.status_code, body["status"], body["database"]) == (200, "healthy", "connected")
    assert body["basicConnection"] is body["preparedStatements"] is body["initializationComplete"] is True
    assert body["tablesFound"] > 10
    assert body["timestamp"].endswith("Z")


def test_visitors_get_no_names_of_tables(client):
    assert client.get("/api/health").get_json()["tables"] == []
    assert b"api_keys" not in client.get("/api/health").data


def test_signed_in_users_get_the_tables(admin):
    assert "runs" in admin.get("/api/health").get_json()["tables"]


def test_missing_table_is_a_503(client, drop_table):
    drop_table("jobs")
    answer = client.get("/api/health")
    assert (answer.status_code, answer.get_json()["status"]) == (503, "degraded")
    assert answer.get_json()["preparedStatements"] is False


def test_visitors_get_no_error_texts(client, drop_table):
    drop_table("jobs")
    assert b"no such table" not in client.get("/api/health").data


def test_signed_in_users_get_the_error_text(admin, drop_table):
    drop_table("jobs")
    assert "no such table" in admin.get("/api/health").get_json()["preparedStatementsError"]


def test_database_without_its_version_is_not_initialised(client, drop_table):
    drop_table("alembic_version")
    answer = client.get("/api/health")
    assert (answer.status_code, answer.get_json()["initializationStatus"]) == (503, "failed")


def test_unreachable_database_is_a_503_without_details(client, unreachable):
    answer = client.get("/api/health")
    assert (answer.status_code, answer.get_json()["status"]) == (503, "unhealthy")
    assert b"secret" not in answer.data


def test_upload_to_an_unreachable_database_is_retried_by_the_sender(client, unreachable):
    answer = client.post("/api/upload", data=report_body())
    assert answer.status_code == 503
    assert b"secret" not in answer.data


def test_probes_set_no_cookie(client):
    for path in ("/api/ping", "/api/health"):
        assert "Set-Cookie" not in client.get(path).headers
