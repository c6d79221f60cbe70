"""The tab of templates: what is rejected, the preview with a real run, tests, and the reset."""

import re

import pytest

from app.core.db import orm
from app.core.settings import store as settings_store
from app.notifications import channels
from app.notifications.template_settings import read_templates
from app.plugin.testing.http_servers import Answer, recording_server


@pytest.fixture
def send(admin):
    def send(path: str, *, in_place: bool = False, **entries):
        data = {"csrf_token": admin.csrf_headers()["X-CSRF-Token"], **entries}
        headers = {"HX-Request": "true"} if in_place else {}
        return admin.post(f"/settings/templates/{path}", data=data, headers=headers)

    return send


def stored(db, kind: str):
    db.session.rollback()
    return read_templates()[kind]


MINE = {"title": "Run: {status}", "message": "Took {duration}.\r\n{log_text}", "priority": "low", "tags": "one, two"}


def test_a_template_is_stored_and_marked_as_custom(send, admin, db):
    assert "Default text</p>" in admin.get("/settings?tab=templates&kind=success").text
    assert send("success", **MINE).status_code == 303
    template = stored(db, "success")
    assert (template.title, template.message) == ("Run: {status}", "Took {duration}.\n{log_text}")
    assert (template.priority, template.tags) == ("low", "one, two")
    page = admin.get("/settings?tab=templates&kind=success").text
    assert "Default text</p>" not in page
    assert "Restore default text …" in page


def test_an_unknown_placeholder_is_reported_at_its_field_and_the_input_kept(send, db):
    answer = send("warning", **{**MINE, "message": "Look: {statsu}", "title": "{typo}"})
    assert answer.status_code == 400
    assert 'id="message-error"' in answer.text
    assert 'id="title-error"' in answer.text
    assert "Look: {statsu}" in answer.text
    assert stored(db, "warning").title.startswith("⚠️")


def test_the_preview_shows_a_real_run_with_escaped_values(send, post):
    post(server="<b>nas</b>", job="*Photos*", status="Warning", Warnings=["<script>alert(1)</script> [x](http://evil)"])
    text = "**{backup_name}** on {server_name}\n{log_text} {nobody}"
    page = send("warning/preview", in_place=True, **{**MINE, "message": text}).text
    assert "<strong>*Photos*</strong> on &lt;b&gt;nas&lt;/b&gt;" in page
    assert "<script>" not in page
    assert ">x</a>" not in page
    assert "<code>{nobody}</code>" in page
    assert "<html" not in page
    assert "<html" in send("warning/preview", **MINE).text


def test_the_previewed_job_can_be_chosen_and_matching_ones_are_first(admin, post, db):
    post(job="Photos")
    post(job="Mail", status="Error", hours_ago=2)
    post(job="Old", hours_ago=200)
    page = admin.get("/settings?tab=templates&kind=warning").text
    assert page.index("nas / Mail") < page.index("nas / Photos")
    assert "⚠️ Error - Mail @ nas" in page
    assert "🕑 Overdue - Old @ nas" in admin.get("/settings?tab=templates&kind=overdueBackup").text


@pytest.mark.parametrize("kind", ["success", "warning", "overdueBackup", "recovered", "dailySummary", "digest"])
def test_every_kind_can_be_previewed_with_and_without_runs(admin, post, kind):
    assert admin.get(f"/settings?tab=templates&kind={kind}").status_code == 200
    post()
    page = admin.get(f"/settings?tab=templates&kind={kind}").text
    assert ("All backup jobs OK: 1" if kind == "digest" else "Photos") in page
    assert "Unknown placeholder:" not in page


def test_the_kind_that_was_previewed_last_is_selected(admin):
    admin.get("/settings?tab=templates&kind=digest")
    assert re.search(r'kind=digest"\s+aria-current="page"', admin.get("/settings?tab=templates").text)


def test_the_language_changes_unmodified_templates_only(send, db):
    send("success", **MINE)
    send("language", language="de")
    assert stored(db, "success").title == "Run: {status}"
    assert stored(db, "recovered").title.startswith("💚 Wieder OK")
    send("language", language="tlh")
    assert settings_store.get("notification_templates")["language"] == "de"


def test_reset_needs_confirmation_and_restores_the_default(send, admin, db):
    send("success", **MINE)
    send("warning", **MINE)
    assert "Restore default text?" in admin.get("/settings/templates/success/reset").text
    send("success/reset")
    assert stored(db, "success").title.startswith("✅")
    assert stored(db, "warning").title == "Run: {status}"
    send("all/reset")
    assert stored(db, "warning").title.startswith("⚠️")


def test_a_test_is_sent_through_every_channel_with_the_entered_text(send, post, db, clock):
    post(status="Error")
    with recording_server() as server:
        settings = {"url": server.url, "topic": "main", "token": "tk_secret"}
        channels.save_settings("ntfy", "ntfy", settings, now=clock())
        channels.save_settings("ntfy", "second", settings | {"topic": "more"}, now=clock())
        server.answers += [Answer(), Answer(403, b'{"code": 40301, "error": "forbidden"}')]
        page = send("warning/test", in_place=True, **MINE).text
        assert server.received[0].json["title"] == "Run: Error"
    assert "Delivered through NTFY." in page
    assert "second: ntfy: the server answered 403 forbidden" in page
    assert "tk_secret" not in page


def test_a_missing_channel_is_reported(send, db, clock):
    with orm.writing() as session:
        session.delete(channels.standard("ntfy"))
    assert "No channel is enabled and configured." in send("success/test", **MINE).text


def test_others_may_preview_and_test_but_not_save(admin, app, post):
    post(server="secret-box", job="Hidden")
    post(server="attic", job="Files")
    new = {"username": "viewer", "password": "Viewer1234", "isAdmin": False, "requirePasswordChange": False}
    assert admin.send("POST", "/api/users", json=new | {"serverIds": ["id-of-attic"]}).status_code == 201
    viewer = app.test_client()
    viewer.sign_in("viewer", "Viewer1234")
    for kind in ("success", "dailySummary", "digest"):
        page = viewer.get(f"/settings?tab=templates&kind={kind}").text
        assert "disabled" in page
        assert "Hidden" not in page
    assert "Files" in viewer.send("POST", "/settings/templates/success/preview").text
    assert viewer.send("POST", "/settings/templates/success").status_code == 403
    assert viewer.send("POST", "/settings/templates/success/reset").status_code == 403
    assert viewer.send("POST", "/settings/templates/language").status_code == 403
