"""The schedule of a job on its page and in its dialog: description, keeping, learning again, changing."""

import pytest
from factories import find_job

from app.runtime import runtime_of
from app.schedules import next_run
from app.schedules.intervals import weekday_mask
from app.schedules.learned import LearnedSchedule
from app.schedules.monitoring_pages import when_text

JOB_PAGE = "/detail/id-of-nas?backup=Photos"
DIALOG = "/detail/id-of-nas/schedule?backup=Photos"
WEEKLY = "1|1W|0123456|"
DAILY = {"was": WEEKLY, "on.job": "1", "count.job": "1", "unit.job": "D", "day.job": list("0123456")}


@pytest.fixture(autouse=True)
def database(db):
    """A database, open for the test."""


@pytest.fixture
def weekly(post):
    for hours in (600, 432, 264, 96):
        post(job="Photos", hours_ago=hours)


@pytest.fixture
def send(admin):
    def send(**entries):
        token = admin.csrf_headers()["X-CSRF-Token"]
        data = {"csrf_token": token, "backup": "Photos", "back": JOB_PAGE, **entries}
        return admin.post("/detail/id-of-nas/schedule", data=data)

    return send


def job():
    return find_job("id-of-nas", "Photos")


def test_the_page_of_a_job_shows_the_learned_schedule_and_offers_to_keep_it(admin, weekly, send):
    page = admin.get(JOB_PAGE).text
    assert "Learned from the last 4 runs: every week, Wednesday at " in page
    assert 'value="keep"' in page
    assert send(do="keep").status_code == 303
    page = admin.get(JOB_PAGE).text
    assert "(learned, kept)" in page
    assert 'value="keep"' not in page
    assert job().expected_interval == "1W"


def test_a_chosen_schedule_can_be_learned_again(admin, weekly, send):
    send(do="save", **DAILY | {"count.job": "3"})
    assert (job().expected_interval, next_run.source_of(job())) == ("3D", "person")
    assert "every 3 days (set manually)" in admin.get(JOB_PAGE).text
    assert "Learn from runs" in admin.get(DIALOG).text
    send(do="learn")
    assert next_run.source_of(job()) == "learned"


def test_the_dialog_shows_the_current_schedule_and_accepts_the_default_as_a_choice(admin, weekly, send):
    page = admin.get(DIALOG).text
    assert f'value="{WEEKLY}"' in page
    time = job().next_expected_at.time()
    send(do="save", **DAILY)
    assert (job().expected_interval, next_run.source_of(job())) == ("1D", "person")
    assert job().next_expected_at.time() == time
    assert "every day (set manually)" in admin.get(JOB_PAGE).text


def test_saving_the_grace_period_alone_chooses_no_schedule(weekly, send):
    send(do="save", **DAILY | {"unit.job": "W", "tolerance.job": "1h"})
    assert (job().overdue_tolerance, next_run.source_of(job())) == ("1h", "learned")


def test_the_dialog_sets_days_grace_period_and_the_check(admin, weekly, send):
    send(do="save", **DAILY | {"day.job": list("135"), "tolerance.job": "30min"})
    assert (job().allowed_weekdays, job().overdue_tolerance) == (weekday_mask((1, 3, 5)), "30min")
    page = admin.get(DIALOG).text
    assert 'value="30min" selected' in page
    assert page.count("checked") == 4
    send(do="save", **DAILY | {"was": "1|1D|135|30min", "day.job": list("135"), "on.job": []})
    assert not job().is_overdue_check_enabled


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ({"count.job": "often"}, "whole number"),
        ({"day.job": []}, "at least one day"),
        ({"count.job": "0"}, "whole number"),
    ],
)
def test_invalid_values_are_reported_and_the_input_kept(admin, weekly, send, entries, problem):
    answer = send(do="save", **DAILY | {"tolerance.job": "6h"} | entries)
    assert (answer.status_code, job().overdue_tolerance) == (400, None)
    assert problem in answer.text
    assert 'value="6h" selected' in answer.text


def test_an_irregular_job_gets_a_suggested_longest_pause(admin, post, send):
    for days in (14.5, 12.2, 11.6, 9.4, 8.9, 6.3, 4.1, 3.6, 1):
        post(job="Photos", hours_ago=days * 24)
    page = admin.get(JOB_PAGE).text
    assert "The runs are irregular. Expect at least one run every 3 days?" in page
    send(do="keep")
    assert "at least every 3 days (set manually)" in admin.get(JOB_PAGE).text


def test_missing_schedule_is_reported(weekly, post, send):
    post(job="New", hours_ago=2)
    answer = send(do="keep", backup="New")
    assert answer.status_code == 409
    assert "No schedule has been learned for this job yet" in answer.text


def test_other_accounts_have_read_access_only(weekly, viewer):
    page = viewer.get(JOB_PAGE).text
    assert "Learned from the last 4 runs" in page
    assert 'value="keep"' not in page
    assert viewer.get(DIALOG).status_code == 403


@pytest.mark.parametrize(
    ("interval", "weekdays", "text"),
    [
        ("1D", range(7), "every day at 06:30"),
        ("1D", (1, 2, 3, 4, 5), "Monday to Friday at 06:30"),
        ("1D", (0, 1, 3), "Mon, Wed, Sun at 06:30"),
        ("2D", range(7), "every 2 days at 06:30"),
        ("1W", range(7), "every week, Monday at 06:30"),
        ("2W", range(7), "every 2 weeks, Monday at 06:30"),
        ("1M", range(7), "every month on day 5 at 06:30"),
        ("12h", range(7), "every 12 hours"),
    ],
)
def test_schedules_are_described_in_words(app, interval, weekdays, text):
    anchor = runtime_of(app).config.zone.key
    values = {"anchor": 1_767_594_600_000, "weekdays": weekday_mask(tuple(weekdays)), "zone": "UTC"}
    figures = {"spread_s": 0, "early_s": 0, "late_s": 600, "run_count": 8}
    learned = LearnedSchedule.read({"interval": interval, **values, **figures})
    with app.test_request_context():
        described = when_text(learned)
    assert described == text if anchor == "UTC" else described.startswith(text)


def test_the_grace_period_of_many_jobs_is_set_at_once(admin, post):
    for name in ("Photos", "Mail"):
        post(job=name)
    ids = [str(find_job("id-of-nas", name).id) for name in ("Photos", "Mail")]
    data = {"csrf_token": admin.csrf_headers()["X-CSRF-Token"], "pick": ids}
    admin.post("/settings/notifications/many", data={**data, "tolerance": "12h"})
    assert {find_job("id-of-nas", name).overdue_tolerance for name in ("Photos", "Mail")} == {"12h"}
    admin.post("/settings/notifications/many", data={**data, "tolerance": "leave", "main_event": "errors"})
    assert job().overdue_tolerance == "12h"
    admin.post("/settings/notifications/many", data={**data, "tolerance": "default"})
    assert job().overdue_tolerance is None
