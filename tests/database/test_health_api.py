"""Whether the program itself is well: for probes without a database, and for people with details."""

import sqlite3

import pytest
from factories import report_body
from sqlalchemy import event, text


@pytest.fixture
def lose(db):
    """Takes a table away."""

    def lose(table: str) -> None:
        with db.engine.begin() as connection:
            connection.execute(text("PRAGMA foreign_keys = OFF"))
            connection.execute(text(f"DROP TABLE {table}"))

    return lose


@pytest.fixture
def unreachable(db):
    """A database that no new connection reaches."""

    def refuse(*_args, **_kwargs):
        raise sqlite3.OperationalError("unable to open database file /secret/place")

    db.session.remove()
    for engine in db.engines.values():
        engine.dispose()
        event.listen(engine, "do_connect", refuse)
    yield
    for engine in db.engines.values():
        event.remove(engine, "do_connect", refuse)


def test_ping_answers(client):
    answer = client.get("/api/ping")
    assert (answer.status_code, answer.get_json()) == (200, {"ok": True})
    assert "no-store" in answer.headers["Cache-Control"]


def test_ping_needs_no_database(client, unreachable):
    assert client.get("/api/ping").status_code == 200


def test_healthy_service_says_so(client):
    answer = client.get("/api/health")
    said = answer.get_json()
    assert (answer.status_code, said["status"], said["database"]) == (200, "healthy", "connected")
    assert said["basicConnection"] is said["preparedStatements"] is said["initializationComplete"] is True
    assert said["tablesFound"] > 10
    assert said["timestamp"].endswith("Z")


def test_visitors_are_told_no_names_of_tables(client):
    assert client.get("/api/health").get_json()["tables"] == []
    assert b"api_keys" not in client.get("/api/health").data


def test_people_who_signed_in_are_told_the_tables(admin):
    assert "runs" in admin.get("/api/health").get_json()["tables"]


def test_missing_table_is_a_503(client, lose):
    lose("jobs")
    answer = client.get("/api/health")
    assert (answer.status_code, answer.get_json()["status"]) == (503, "degraded")
    assert answer.get_json()["preparedStatements"] is False


def test_visitors_are_told_no_errors(client, lose):
    lose("jobs")
    assert b"no such table" not in client.get("/api/health").data


def test_people_who_signed_in_are_told_the_error(admin, lose):
    lose("jobs")
    assert "no such table" in admin.get("/api/health").get_json()["preparedStatementsError"]


def test_database_without_its_version_is_not_initialised(client, lose):
    lose("alembic_version")
    answer = client.get("/api/health")
    assert (answer.status_code, answer.get_json()["initializationStatus"]) == (503, "failed")


def test_unreachable_database_is_a_503_without_details(client, unreachable):
    answer = client.get("/api/health")
    assert (answer.status_code, answer.get_json()["status"]) == (503, "unhealthy")
    assert b"secret" not in answer.data


def test_upload_to_an_unreachable_database_is_tried_again_by_the_sender(client, unreachable):
    answer = client.post("/api/upload", data=report_body())
    assert answer.status_code == 503
    assert b"secret" not in answer.data


def test_probes_set_no_cookie(client):
    for path in ("/api/ping", "/api/health"):
        assert "Set-Cookie" not in client.get(path).headers
