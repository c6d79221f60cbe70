"""What the audit log stores, and what it must not."""

import pytest

from app.audit.log import REDACTED, redact


@pytest.mark.parametrize(
    "name", ["password", "Password", "temp_password", "csrfToken", "session_id", "apiKey", "secret"]
)
def test_secrets_are_masked_at_any_depth(name):
    details = {"changes": [{"smtp": {name: {"old": "a", "new": "b"}, "host": "mail.lan"}}], name: "c"}
    assert redact(details) == {"changes": [{"smtp": {name: REDACTED, "host": "mail.lan"}}], name: REDACTED}


@pytest.mark.parametrize("name", ["hasPassword", "hasAccessToken", "must_change_password", "mustChangePassword"])
def test_a_flag_about_a_secret_is_not_masked(name):
    assert redact({name: True}) == {name: True}
