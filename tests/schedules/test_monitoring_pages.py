"""The tab of backup monitoring: intervals, days, rejected values, checking now, the file."""

import csv
import io

import pytest
from factories import find_job

from app.backups.models import Job, Server
from app.core.db.orm import writing
from app.core.settings import store as settings_store
from app.database import external_monitor, health_alarms
from app.plugin.testing.http_servers import recording_server


@pytest.fixture
def jobs(post, db):
    """Two jobs that ran an hour ago, and an overdue one."""
    post(job="Photos")
    post(job="Mail")
    post(server="attic", job="Files", hours_ago=100)


@pytest.fixture
def send(admin):
    def send(path: str = "", **entries):
        data = {"csrf_token": admin.csrf_headers()["X-CSRF-Token"], **entries}
        return admin.post(f"/settings/monitoring{path}", data=data)

    return send


def job_of(name: str, server: str = "nas") -> Job:
    return find_job(f"id-of-{server}", name)


def row_of(job: Job, *, count="1", unit="D", days="0123456", is_on=True, was="1|1D|0123456|", tolerance="") -> dict:
    name = job.id
    entries = {"row": str(name), f"was.{name}": was, f"count.{name}": count, f"unit.{name}": unit}
    entries[f"tolerance.{name}"] = tolerance
    return entries | {f"day.{name}": list(days)} | ({f"on.{name}": "1"} if is_on else {})


def test_rows_show_the_expected_run_and_the_state(admin, jobs):
    page = admin.get("/settings?tab=monitoring").text
    assert all(name in page for name in ("Photos", "Mail", "Files"))
    assert page.count('class="tone-bad"') == 1
    assert "Files" not in admin.get("/settings?tab=monitoring&q=photos").text
    assert page.index("Files") < page.index("Mail") < page.index("Photos")
    page = admin.get("/settings?tab=monitoring&sort=-job").text
    assert page.index("Photos") < page.index("Mail") < page.index("Files")


def test_a_server_with_an_address_links_to_its_duplicati_and_to_collecting(admin, jobs):
    assert "Collect logs of" not in admin.get("/settings?tab=monitoring").text
    with writing() as session:
        session.get(Server, "id-of-attic").url = "https://attic.example"
    page = admin.get("/settings?tab=monitoring").text
    assert page.count("Collect logs of attic") == 1
    assert page.count('href="https://attic.example"') == 1


@pytest.mark.parametrize(
    ("entered", "stored"),
    [
        ({"count": "2", "unit": "W"}, "2W"),
        ({"count": "1D2h30m", "unit": ""}, "1D2h30m"),
        ({"count": " 36 ", "unit": "h"}, "36h"),
        ({"count": "90", "unit": ""}, "90"),
    ],
)
def test_an_interval_is_stored_and_the_job_rescheduled(send, jobs, entered, stored):
    before = job_of("Photos").next_expected_at
    assert send(**row_of(job_of("Photos"), **entered)).status_code == 303
    job = job_of("Photos")
    assert job.expected_interval == stored
    assert job.next_expected_at != before


@pytest.mark.parametrize(
    ("entered", "error"),
    [
        ({"count": "0"}, "whole number greater than 0"),
        ({"count": "-3"}, "whole number greater than 0"),
        ({"count": "1.5"}, "whole number greater than 0"),
        ({"count": ""}, "whole number greater than 0"),
        ({"count": "1D2x", "unit": ""}, "“x” is not allowed"),
        ({"count": "D", "unit": ""}, "Invalid interval"),
        ({"count": "0", "unit": ""}, "Invalid interval"),
        ({"days": ""}, "Select at least one day."),
    ],
)
def test_an_invalid_value_is_reported_in_its_row_and_nothing_is_saved(send, jobs, entered, error):
    answer = send(**{**row_of(job_of("Photos"), **entered), **{"row": [str(job_of("Photos").id)]}})
    assert answer.status_code == 400
    assert error in answer.text
    assert f'value="{entered.get("count", "1")}"' in answer.text
    assert job_of("Photos").expected_interval == "1D"


def test_one_rejected_row_prevents_saving_the_others(send, jobs):
    photos, mail = job_of("Photos"), job_of("Mail")
    both = row_of(photos, count="2") | row_of(mail, count="x")
    assert send(**both | {"row": [str(photos.id), str(mail.id)]}).status_code == 400
    assert job_of("Photos").expected_interval == "1D"


def test_a_save_keeps_concurrent_changes_by_others(send, jobs, db):
    job = job_of("Photos")
    job.expected_interval = "3D"
    db.session.commit()
    send(**row_of(job, days="12345"))
    job = job_of("Photos")
    assert (job.expected_interval, job.allowed_weekdays) == ("3D", 0b0111110)


def test_disabling_clears_sent_notifications(send, jobs, clock):
    send("/check")
    assert job_of("Files", "attic").overdue_alerted_at == clock()
    send(**row_of(job_of("Files", "attic"), is_on=False))
    job = job_of("Files", "attic")
    assert (job.is_overdue_check_enabled, job.overdue_alerted_at) == (False, None)


def test_a_check_shows_its_result_and_a_reset_repeats_notifications(send, admin, jobs):
    send("/check")
    message = "3 jobs checked; 1 job overdue; 1 new alert."
    assert message in admin.get("/settings?tab=monitoring").text
    send("/check")
    assert "0 new alerts" in admin.get("/settings?tab=monitoring").text
    send("/reset")
    assert job_of("Files", "attic").overdue_alerted_at is None


def test_rules_for_all_jobs_are_saved_separately(send, jobs, db):
    send("/rules", tolerance="6h", frequency="onetime", interval="20min")
    db.session.rollback()
    assert settings_store.get("overdue_tolerance") == "6h"
    assert settings_store.get("notification_frequency") == "onetime"
    assert settings_store.get("cron_tasks")["overdue-backup-check"]["cronExpression"].split()[0] == "*/20"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"tolerance": "bogus"}, "Select a grace period from the list."),
        ({"frequency": "bogus"}, "Select a repeat interval from the list."),
        ({"tolerance": "6h", "interval": "bogus"}, "Select an interval from the list."),
    ],
)
def test_unknown_rule_is_rejected_and_nothing_is_saved(send, jobs, db, values, sentence):
    answer = send("/rules", **values)
    db.session.rollback()
    assert answer.status_code == 400
    assert sentence in answer.text
    assert settings_store.get("overdue_tolerance") == "2h"


def test_page_and_api_reject_an_interval_with_one_code(send, admin, jobs):
    page = send(**row_of(job_of("Photos"), count="rubbish", unit=""))
    body = {"backupSettings": {"id-of-nas:Photos": {"expectedInterval": "rubbish"}}}
    answer = admin.send("POST", "/api/configuration/backup-settings", json=body)
    assert (answer.status_code, answer.get_json()["errorCode"]) == (400, "INTERVAL_INVALID")
    assert "The interval 'rubbish' must contain numbers" in answer.get_json()["error"]
    assert page.status_code == 400
    assert "Invalid interval. Enter one such as 1D2h30m" in page.text
    assert job_of("Photos").expected_interval == "1D"


def test_unknown_grace_period_of_a_job_is_rejected_in_its_row(send, jobs):
    answer = send(**row_of(job_of("Photos"), tolerance="bogus"))
    assert answer.status_code == 400
    assert "Select a grace period from the list." in answer.text


def test_the_file_contains_the_rows_as_shown(admin, post, jobs, clock):
    post(server="=cmd()", job="Evil")
    answer = admin.get("/settings/monitoring.csv?sort=-server")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="backup-monitoring-2031-05-04.csv"'
    head, *rows = csv.reader(io.StringIO(answer.text))
    assert head[0] == "generated at"
    assert [row[3] for row in rows] == ["Photos", "Mail", "Files", "Evil"]
    assert rows[-1][1] == "'=cmd()"
    assert rows[2][9:12] == ["Yes", "Yes", "1D"]
    assert rows[0][12].startswith("Monday; Tuesday")
    assert rows[0][4] == "2031-05-04T11:00:00.000Z"
    assert rows[0][5] == "Sunday"


def test_others_may_check_but_not_change(admin, app, jobs):
    new = {"username": "viewer", "password": "Viewer1234", "isAdmin": False, "requirePasswordChange": False}
    assert admin.send("POST", "/api/users", json=new | {"serverIds": ["id-of-attic"]}).status_code == 201
    viewer = app.test_client()
    viewer.sign_in("viewer", "Viewer1234")
    page = viewer.get("/settings?tab=monitoring").text
    assert "Files" in page
    assert "Photos" not in page
    assert "Photos" not in viewer.get("/settings/monitoring.csv").text
    assert "disabled" in page
    assert viewer.send("POST", "/settings/monitoring").status_code == 403
    assert viewer.send("POST", "/settings/monitoring/rules").status_code == 403
    assert viewer.send("POST", "/settings/monitoring/check").status_code == 303


def test_a_job_gets_its_own_grace_period(send, admin, jobs):
    job = job_of("Photos")
    assert send(**row_of(job, tolerance="4h")).status_code == 303
    assert job_of("Photos").overdue_tolerance == "4h"
    assert 'value="4h" selected>' in admin.get("/settings?tab=monitoring&q=photos").text.split(f"tolerance.{job.id}")[1]
    assert send(**row_of(job, was="1|1D|0123456|4h")).status_code == 303
    assert job_of("Photos").overdue_tolerance is None


def test_learned_schedules_are_shown_with_a_link_to_their_dialog(admin, post):
    for hours in (100, 76, 52, 28, 4):
        post(job="Photos", hours_ago=hours)
    page = admin.get("/settings?tab=monitoring").text
    assert "Learned from the last 5 runs: every day at" in page
    assert "/detail/id-of-nas/schedule?backup=Photos" in page


class TestSelfMonitoring:
    ENTRIES = {"free_space_mib": "500", "every_minutes": "5", "url": "", "service": "", "token": ""}

    def test_the_limit_and_the_monitor_are_stored_and_a_ping_is_sent(self, send, admin, db):
        with recording_server() as server:
            entries = {**self.ENTRIES, "free_space_mib": "900", "is_enabled": "1", "url": server.url + "/api/push/x"}
            assert send("/self", **entries, then="ping").status_code == 303
            assert [request.path for request in server.received] == ["/api/push/x?status=up&msg=OK&ping="]
        assert health_alarms.free_space_limit() == 900
        page = admin.get("/settings?tab=monitoring").text
        assert "The ping succeeded." in page
        assert "Last successful ping:" in page

    def test_a_failed_ping_is_shown_without_its_address(self, send, admin):
        entries = {**self.ENTRIES, "is_enabled": "1", "url": "http://127.0.0.1:9/geheim"}
        send("/self", **entries, then="ping")
        page = admin.get("/settings?tab=monitoring").text
        assert "The ping failed: no connection to the server" in page

    @pytest.mark.parametrize(
        ("entries", "sentence"),
        [
            ({"free_space_mib": "much"}, "Enter a whole number from 0"),
            ({"every_minutes": "0"}, "Enter a whole number from 1 to 1440"),
            ({"is_enabled": "1"}, "Enter the URL shown by the service."),
            ({"url": "http://169.254.169.254/x"}, "Enter a URL that starts with http:// or https://."),
        ],
    )
    def test_an_invalid_value_is_reported_at_its_field(self, send, db, entries, sentence):
        answer = send("/self", **{**self.ENTRIES, **entries})
        assert (answer.status_code, sentence in answer.text) == (400, True)
        assert not external_monitor.read().url

    def test_the_token_is_not_shown_and_deleted_with_another_server(self, send, admin, db):
        entries = {**self.ENTRIES, "url": "http://127.0.0.1:9/a", "token": "geheim"}
        send("/self", **entries)
        assert "geheim" not in admin.get("/settings?tab=monitoring").text
        send("/self", **{**self.ENTRIES, "url": "http://127.0.0.1:8/a"})
        assert "Enter it again" in admin.get("/settings?tab=monitoring").text
        assert not external_monitor.read().has_token

    def test_it_is_for_administrators(self, send, viewer):
        send("/self", **{**self.ENTRIES, "url": "http://127.0.0.1:9/geheim"})
        page = viewer.get("/settings?tab=monitoring").text
        assert "geheim" not in page
        assert "Monitoring of duplistatus itself" not in page
