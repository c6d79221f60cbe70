"""The tab of backup notifications: what a save changes, inheritance, changing several jobs, and permissions."""

import pytest
from factories import find_job
from sqlalchemy import select

from app.audit.log import AuditEntry
from app.backups.models import Job, Server
from app.notifications import channels
from app.notifications.outbox import is_channel_on


@pytest.fixture
def jobs(post, db):
    """Two jobs on one server and one on another."""
    post(job="Photos")
    post(job="Mail")
    post(server="attic", job="Files")


@pytest.fixture
def send(admin):
    def send(path: str = "", **entries):
        data = {"csrf_token": admin.csrf_headers()["X-CSRF-Token"], **entries}
        return admin.post(f"/settings/notifications{path}", data=data, headers={"Accept": "application/json"})

    return send


def job_of(name: str, server: str = "nas") -> Job:
    return find_job(f"id-of-{server}", name)


def nas_server() -> Server:
    return job_of("Mail").server


def entries_of(job: Job, *, event: str = "warnings", on=("ntfy",), was: str = "warnings|ntfy") -> dict:
    return {"row": str(job.id), f"was.{job.id}": was, f"event.{job.id}": event, f"on.{job.id}": list(on)}


def test_jobs_are_listed_below_their_servers_and_filtered(admin, jobs):
    page = admin.get("/settings?tab=notifications").text
    assert all(name in page for name in ("Photos", "Mail", "Files", "nas", "attic"))
    page = admin.get("/settings?tab=notifications&q=mai").text
    assert "Mail" in page
    assert "Photos" not in page
    assert "No matching servers or jobs" in admin.get("/settings?tab=notifications&q=nothing").text


def test_kinds_without_a_channel_are_shown_as_disabled(admin, jobs):
    page = admin.get("/settings?tab=notifications").text
    assert 'data-column="ntfy"' in page
    assert 'data-column="email"' not in page
    assert "(disabled)" in page


def test_a_save_changes_only_values_that_differ_from_the_shown_ones(send, jobs, db):
    job = job_of("Photos")
    job.notification_event = "all"  # by another user, meanwhile
    db.session.commit()
    answer = send(**entries_of(job, on=()))
    assert answer.get_json() == {"states": {str(job.id): "warnings|"}}
    job = job_of("Photos")
    assert (job.notification_event, job.channel_switches) == ("all", {"ntfy": False})
    send(**entries_of(job, event="errors", on=(), was="warnings|"))
    assert job_of("Photos").notification_event == "errors"
    details = db.session.scalars(select(AuditEntry.details).where(AuditEntry.category == "config")).all()[-1]
    assert details["modifiedBackupKeys"] == ["nas:id-of-nas:Photos"]


def test_a_kind_of_a_plugin_is_enabled_and_audited(send, jobs, db, clock):
    channels.save_settings("webhook", "hook", {"url": "https://hooks.example.org/"}, now=clock())
    job = job_of("Photos")
    send(**entries_of(job, was="warnings|ntfy,webhook"))
    assert job_of("Photos").channel_switches == {"webhook": False}
    details = db.session.scalars(select(AuditEntry.details).where(AuditEntry.category == "config")).all()[-1]
    assert details["changes"]["id-of-nas:Photos"] == {"webhookEnabled": {"old": True, "new": False}}


def test_an_unknown_event_is_rejected(send, jobs):
    answer = send(**entries_of(job_of("Photos"), event="sometimes"))
    assert (answer.status_code, answer.get_json()["error"]) == (400, "Select an event from the list.")
    assert job_of("Photos").notification_event == "warnings"


def test_a_job_inherits_until_it_has_its_own_values(send, admin, jobs):
    job = job_of("Photos")
    send("/additional/server-id-of-nas", event="errors", emails="ops@example.org", topic="")
    page = admin.get(f"/settings/notifications/additional/job-{job.id}").text
    assert "Inherited: ops@example.org" in page
    assert "Inherited: Errors only" in page
    send(f"/additional/job-{job.id}", event="inherit", emails_choice="own", emails="me@example.org, b@c.d")
    job = job_of("Photos")
    assert (job.additional_event, job.additional_emails, job.additional_ntfy_topic) == (
        None,
        "me@example.org, b@c.d",
        None,
    )
    send(f"/additional/job-{job.id}", emails_choice="inherit")
    assert job_of("Photos").additional_emails is None


@pytest.mark.parametrize(
    ("entries", "error"),
    [
        ({"emails_choice": "own", "emails": "a@b.c, nobody"}, "“nobody” is not a valid email address"),
        ({"topic_choice": "own", "topic": "two words"}, "Enter a topic of up to 64 letters, digits, _ and -."),
    ],
)
def test_an_invalid_destination_is_reported_at_its_field_and_kept_in_it(send, jobs, entries, error):
    job = job_of("Photos")
    answer = send(f"/additional/job-{job.id}", **entries)
    assert answer.status_code == 400
    assert error in answer.text
    assert (entries.get("emails") or entries["topic"]) in answer.text
    assert job_of("Photos").additional_emails is None


class TestMany:
    def test_a_server_stores_them_as_defaults_and_single_jobs_as_their_own(self, send, jobs, db):
        photos, mail = job_of("Photos"), job_of("Mail")
        send("/many", pick=[str(photos.id)], emails_choice="own", emails="one@example.org")
        assert job_of("Photos").additional_emails == "one@example.org"
        send("/many", pick=[str(photos.id), str(mail.id)], topic_choice="own", topic="ops", event="all")
        server = nas_server()
        assert (server.additional_ntfy_topic, server.additional_event) == ("ops", "all")
        photos = job_of("Photos")
        assert (photos.additional_ntfy_topic, photos.additional_emails) == (None, "one@example.org")

    def test_events_and_switches_are_set_for_all_selected(self, send, jobs):
        ids = [str(job_of("Photos").id), str(job_of("Files", "attic").id)]
        send("/many", pick=ids, main_event="errors", **{"switch.ntfy": "off"})
        settings = [
            (job.notification_event, is_channel_on(job, "ntfy"))
            for job in (job_of("Photos"), job_of("Mail"), job_of("Files", "attic"))
        ]
        assert settings == [("errors", False), ("warnings", True), ("errors", False)]

    def test_removing_needs_confirmation_and_includes_the_defaults(self, send, admin, jobs, db):
        photos = job_of("Photos")
        send("/additional/server-id-of-nas", emails="ops@example.org")
        send(f"/additional/job-{photos.id}", topic_choice="own", topic="mine")
        assert "Remove additional destinations?" in send("/many", pick=[str(photos.id)], do="clear").text
        assert job_of("Photos").additional_ntfy_topic == "mine"
        send("/many", pick=[str(photos.id)], do="clear", confirmed="1")
        assert job_of("Photos").additional_ntfy_topic is None
        assert nas_server().additional_emails is None

    def test_an_empty_selection_is_reported(self, send, admin, jobs):
        send("/many")
        assert (
            "Nothing to change. Select jobs and the settings to change."
            in admin.get("/settings?tab=notifications").text
        )


def test_all_jobs_of_a_server_can_be_set_to_inherit_or_cleared(send, jobs, db):
    send("/additional/server-id-of-nas", emails="ops@example.org")
    send(f"/additional/job-{job_of('Photos').id}", emails_choice="own", emails="me@example.org")
    send("/servers/id-of-nas", do="sync")
    assert job_of("Photos").additional_emails is None
    assert nas_server().additional_emails == "ops@example.org"
    send("/servers/id-of-nas", do="clear")
    assert nas_server().additional_emails is None
    assert send("/servers/nobody", do="clear").status_code == 404


def test_others_see_their_servers_disabled_and_cannot_save(admin, app, jobs):
    new = {"username": "viewer", "password": "Viewer1234", "isAdmin": False, "requirePasswordChange": False}
    access = {"serverIds": ["id-of-attic"]}
    assert admin.send("POST", "/api/users", json=new | access).status_code == 201
    viewer = app.test_client()
    viewer.sign_in("viewer", "Viewer1234")
    page = viewer.get("/settings?tab=notifications").text
    assert "<fieldset disabled>" in page
    assert "Files" in page
    assert "Photos" not in page
    job_id = job_of("Photos").id
    assert viewer.get(f"/settings/notifications/additional/job-{job_id}").status_code == 404
    for path in ("", "/many", f"/additional/job-{job_id}", "/servers/id-of-nas"):
        assert viewer.send("POST", f"/settings/notifications{path}").status_code == 403
