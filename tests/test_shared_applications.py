"""Tests share applications and databases, and leave nothing for later tests."""

import psycopg
import pytest
from factories import make_run

from app.accounts.models import User
from app.backups.models import Run
from app.core.db.orm import db
from app.runtime import runtime_of


@pytest.fixture
def lend(shared_applications, settings, installed):
    """Return the shared application of `settings`."""
    return lambda: shared_applications.lend(settings, installed)


def test_the_application_is_the_same(lend):
    with lend() as first:
        pass
    with lend() as second:
        assert second is first


def test_rows_files_settings_and_memory_equal_a_first_start(lend, settings):
    with lend() as app:
        kept = dict(app.config), set(app.extensions), {path.name for path in settings.data_dir.iterdir()}
        app.config["PROPAGATE_EXCEPTIONS"] = False
        app.extensions["something"] = "new"
        with app.app_context():
            make_run()
            db.session.execute(db.text("DROP TABLE audit_log"))
            db.session.commit()
    with lend() as app, app.app_context():
        assert (dict(app.config), set(app.extensions)) == kept[:2]
        assert kept[2] <= {path.name for path in settings.data_dir.iterdir()}
        assert db.session.query(Run).count() == 0
        assert [user.username for user in db.session.query(User)] == ["admin"]


def rows(table):
    """All rows of a table, without the numbers and texts that are random."""
    found = db.session.execute(db.text(f"SELECT * FROM {table}")).mappings()
    return [{name: value for name, value in row.items() if "id" not in name and "token" not in name} for row in found]


def test_a_copied_sign_in_has_the_same_rows_as_a_real_one(lend, shared_applications, clock):
    seen = []
    for _ in range(2):
        with lend() as app:
            runtime_of(app).clock = clock
            client = shared_applications.signed_in_client(app)
            assert client.send("POST", "/api/auth/logout").status_code == 200
            with app.app_context():
                seen.append([rows(table) for table in ("users", "sessions", "sign_in_networks", "audit_log")])
    assert seen[0] == seen[1]
    assert [row["action"] for row in seen[0][-1]] == ["login", "logout"]


def test_an_opened_database_is_not_replaced_by_a_sign_in(lend, shared_applications, clock):
    for _ in range(2):
        with lend() as app:
            runtime_of(app).clock = clock
            with app.app_context():
                make_run()
            shared_applications.signed_in_client(app)
            with app.app_context():
                assert db.session.query(Run).count() == 1
        with lend() as app:
            runtime_of(app).clock = clock
            shared_applications.signed_in_client(app)


def test_rows_that_are_stored_once_are_there_each_time(lend, shared_applications):
    called = []

    def fill():
        called.append(1)
        with app.app_context():
            make_run()
        return {"runs": 1}

    for _ in range(3):
        with lend() as app:
            given = shared_applications.fill_once(app, "one run", fill)
            with app.app_context():
                assert {"runs": db.session.query(Run).count()} == given
            given["runs"] = 5
    assert called == [1]


def test_stored_rows_and_a_sign_in_add_up(lend, shared_applications, clock):
    for _ in range(3):
        with lend() as app, app.app_context():
            runtime_of(app).clock = clock
            shared_applications.fill_once(app, "run", lambda: make_run() and None)
            client = shared_applications.signed_in_client(app)
            assert client.get("/api/auth/me").status_code == 200
            assert db.session.query(Run).count() == 1


def test_routes_can_be_added_to_an_own_application_only(app, own_app):
    with pytest.raises(AssertionError, match="can no longer be called"):
        app.get("/new")(lambda: "new")
    own_app.get("/new")(lambda: "new")


class TestPostgresql:
    """The shared database."""

    def test_rows_and_numbers_equal_a_first_start(self, shared_postgres):
        [sequence] = run(shared_postgres, "SELECT sequencename FROM pg_sequences ORDER BY 1 LIMIT 1")
        number = f"SELECT last_value, is_called FROM {sequence}"
        first = run(shared_postgres, number)
        run(shared_postgres, "INSERT INTO settings VALUES ('new', '1', 0); DELETE FROM users")
        run(shared_postgres, f"SELECT setval('{sequence}', 99)")
        shared_postgres.reset()
        assert run(shared_postgres, "SELECT count(*) FROM settings WHERE key = 'new'") == (0,)
        assert run(shared_postgres, "SELECT username FROM users") == ("admin",)
        assert run(shared_postgres, number) == first

    def test_a_changed_structure_is_restored(self, shared_postgres):
        run(shared_postgres, "DROP TABLE audit_log")
        shared_postgres.reset()
        assert run(shared_postgres, "SELECT count(*) FROM audit_log") == (0,)

    def test_open_connections_do_not_block_the_reset(self, shared_postgres, postgres_server):
        with postgres_server.connect(shared_postgres.NAME) as other:
            other.execute("BEGIN")
            other.execute("LOCK TABLE users")
            shared_postgres.reset()
            with pytest.raises(psycopg.OperationalError):
                other.execute("SELECT 1")


def run(database, statements):
    """Run statements, and return the first row of the last one that has any."""
    with psycopg.connect(database.url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:
        cursor = connection.execute(statements)
        return cursor.fetchone() if cursor.description else None
