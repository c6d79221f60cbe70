"""Errors of forms are translated texts: nothing is shown in English because a service wrote it.

Every text of the catalogues is put between brackets here, so that text outside of them is untranslatable. This does
not depend on the state of the catalogues.
"""

import io
import re
from functools import cache
from html import unescape
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import flask_babel
import pytest
from babel.support import NullTranslations

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SHOWN_ERRORS = re.compile(
    r'class="entry-error"[^>]*>\s*<svg.*?</svg>\s*<span>(.*?)</span>'
    r'|class="tone-bad"[^>]*>([^<]*)</p>'
    r'|class="notice notice-error"[^>]*>\s*<svg.*?</svg>\s*<(?:span|p)>(.*?)</(?:span|p)>',
    re.DOTALL,
)


@cache
def texts() -> frozenset[str]:
    """The texts of the sources that translators see."""
    spec = spec_from_file_location("translations_script", ROOT / "scripts" / "translations.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.Domain(module.MAIN, ROOT / "app", ROOT / "app" / "translations").texts()
    ids = (message.id if isinstance(message.id, tuple) else (message.id,) for message in found)
    return frozenset(text for both in ids for text in both if text)


class Bracketed(NullTranslations):
    """Puts the texts of the sources between brackets; others are unchanged."""

    def gettext(self, message):
        return f"⟦{message}⟧" if message in texts() else message

    ugettext = gettext

    def ngettext(self, one, many, count):
        return self.gettext(one if count == 1 else many)

    ungettext = ngettext

    def pgettext(self, context, message):
        return self.gettext(message)

    upgettext = pgettext

    def npgettext(self, context, one, many, count):
        return self.ngettext(one, many, count)

    unpgettext = npgettext


@pytest.fixture
def bracketed(monkeypatch):
    monkeypatch.setattr(flask_babel.Domain, "get_translations", lambda _domain: Bracketed())


def shown_errors(page: str) -> list[str]:
    """Return the errors on a page."""
    found = ("".join(groups) for groups in SHOWN_ERRORS.findall(page))
    return [" ".join(unescape(re.sub("<[^>]*>", "", text)).split()) for text in found]


def outside(sentence: str) -> str:
    """Return the part of a text outside brackets."""
    while (inner := re.sub("⟦[^⟦⟧]*⟧", "", sentence)) != sentence:
        sentence = inner
    return re.sub(r"[\W\d]+", "", sentence)


USER = {"username": "anna", "makes_password": "y", "sees": "all"}
SELF = {"free_space_mib": "1000", "every_minutes": "5", "service": ""}
FORMS = {
    "monitoring rules": ("monitoring/rules", {"tolerance": "bogus"}),
    "check interval": ("monitoring/rules", {"interval": "bogus"}),
    "free space": ("monitoring/self", SELF | {"free_space_mib": "many"}),
    "external monitor": ("monitoring/self", SELF | {"url": "ftp://example.org"}),
    "external monitor that is link-local": ("monitoring/self", SELF | {"url": "http://169.254.169.254/"}),
    "external monitor without URL": ("monitoring/self", SELF | {"is_enabled": "y"}),
    "long URL of the monitor": ("monitoring/self", SELF | {"url": "http://example.org/" + "x" * 3000}),
    "server URL": ("servers/id-of-nas", {"url": "nonsense"}),
    "scheme of a server URL": ("servers/id-of-nas", {"url": "ftp://nas"}),
    "link-local server": ("servers/id-of-nas", {"url": "http://169.254.169.254/"}),
    "long alias": ("servers/id-of-nas", {"url": "", "alias": "x" * 5000}),
    "interval of collecting": ("servers/id-of-nas", {"url": "", "collect_interval": "7s"}),
    "server password": ("servers/id-of-nas/password", {"password": "a", "again": "b"}),
    "server headers": ("servers/id-of-nas/headers", {"headers": "no colon"}),
    "schedule of backups": ("database/schedule", {"every": "daily", "at": "25:00", "keep": "7", "weekday": "1"}),
    "retention": ("database/retention", {"run_days": "-1"}),
    "import without a file": ("import", {"source": "upload"}),
    "import of an older installation": ("import", {"source": "folder"}),
    "channel without a name": ("channels/new/ntfy", {"name": ""}),
    "many jobs": ("notifications/many", {}),
    "event of a job": ("notifications", {"row": "1", "event.1": "nonsense", "was.1": "all|"}),
    "time of the summary": ("summary/daily", {"is_on": "y", "time": "25:00"}),
    "recipients of the summary": ("summary/daily", {"is_on": "y", "time": "07:30", "recipients": "nobody"}),
    "period of the digest": ("summary/digest", {"period": "yearly", "time": "07:30", "weekday": "1"}),
    "weekday of the digest": ("summary/digest", {"period": "weekly", "time": "07:30", "weekday": "9"}),
    "digest without channels": ("summary/digest", {"period": "weekly", "time": "07:30", "weekday": "1"}),
    "channel of the digest": ("summary/digest", {"period": "weekly", "time": "07:30", "weekday": "1", "channel": "99"}),
    "summary without email": ("summary/daily/send", {}),
    "digest that cannot be sent": ("summary/digest/send", {}),
    "public URL": ("uploads", {"public_url": "backups"}),
    "size of uploads": ("uploads", {"max_upload_mib": "0"}),
    "key without a name": ("keys", {"name": " ", "scope": "read"}),
    "key with a long name": ("keys", {"name": "x" * 101, "scope": "read"}),
    "scope of a key": ("keys", {"name": "nas", "scope": "root"}),
    "day of a key": ("keys", {"name": "nas", "scope": "read", "last_valid_day": "2031-05-03"}),
    "last day of the calendar": ("keys", {"name": "nas", "scope": "read", "last_valid_day": "9999-12-31"}),
    "networks": ("access/admin", {"admin-networks": "abc"}),
    "own address": ("access/external", {"external-networks": "192.0.2.0/33", "external-is_enabled": "y"}),
    "short name of a user": ("users/new", USER | {"username": "ab"}),
    "name of a user in use": ("users/new", USER | {"username": "admin"}),
    "weak password": ("users/new", USER | {"makes_password": "", "password": "weak"}),
    "server of a user": ("users/new", USER | {"sees": "chosen", "server_ids": "gone"}),
    "badge": ("publishing/badges", {"slug": "!"}),
    "badge of a job that is gone": ("publishing/badges", {"slug": "abc", "shows": '["id-of-gone", null]'}),
    "title of the status page": ("status-page", {"title": "x" * 1000}),
    "empty status page": ("status-page", {"is_enabled": "y", "scope": "chosen"}),
}


@pytest.mark.usefixtures("bracketed")
@pytest.mark.parametrize("name", FORMS)
def test_a_rejected_settings_form_is_in_the_language_of_the_page(name, admin, post):
    post(server="nas", job="Photos")
    place, entries = FORMS[name]
    answer = admin.send(
        "POST", f"/settings/{place}", data={k: v for k, v in entries.items() if v != ""}, follow_redirects=True
    )
    sentences = shown_errors(answer.text)
    assert sentences
    assert [sentence for sentence in sentences if "⟦" not in sentence or outside(sentence)] == []


@pytest.mark.usefixtures("bracketed")
@pytest.mark.parametrize(
    "content", [b"", b"SQLite format 3\0" + b"x" * 200, b"nonsense", b"CREATE TABLE a (b); SELECT load_extension('x');"]
)
def test_a_rejected_restore_is_in_the_language_of_the_page(content, admin):
    data = {"file": (io.BytesIO(content), "backup.sql" if content.startswith(b"CREATE") else "backup.db")}
    answer = admin.send("POST", "/settings/database/restore", data=data, follow_redirects=True)
    sentences = shown_errors(answer.text)
    assert sentences
    assert [sentence for sentence in sentences if outside(sentence)] == []


@pytest.mark.usefixtures("bracketed")
@pytest.mark.parametrize(
    ("place", "entries"),
    [
        ("mute", {"length": "1d", "note": "x" * 5000}),
        ("tags", {"tags": ",".join(f"tag{number}" for number in range(99))}),
        ("tags", {"tags": "x" * 99}),
        ("tags", {"tags": "a", "quota": "much"}),
        ("schedule", {"do": "keep"}),
        ("schedule", {"was": "1|1D|0123456|", "count.job": "rubbish", "unit.job": "", "day.job": ["1"]}),
        ("schedule", {"was": "1|1D|0123456|", "count.job": "1D,2h", "unit.job": "", "day.job": ["1"]}),
    ],
)
def test_a_rejected_job_form_is_in_the_language_of_the_page(place, entries, admin, post):
    post(server="nas", job="Photos")
    answer = admin.send("POST", f"/detail/id-of-nas/{place}", data={"backup": "Photos", **entries})
    assert answer.status_code in (400, 409)
    sentences = shown_errors(answer.text)
    assert sentences
    assert [sentence for sentence in sentences if outside(sentence)] == []
