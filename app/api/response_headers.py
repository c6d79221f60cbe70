"""Headers of every answer: what a browser may do with it, and who may keep it."""

from flask import Flask, Response, current_app, request

from app.api.guards import RULES, Rule
from app.contracts import Guard
from app.services.deployment import settings

# Nothing from elsewhere, no script and no style within the page, nobody may frame it.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; manifest-src 'self'"
)
NO_SNIFFING = {"X-Content-Type-Options": "nosniff"}
PAGE_HEADERS = {
    **NO_SNIFFING,
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# A year: browsers that have seen it use HTTPS alone for this host.
STRICT_TRANSPORT = {"Strict-Transport-Security": "max-age=31536000"}


def install(app: Flask) -> None:
    """Complete the headers of every answer, of plugins and of errors too."""
    app.after_request(complete)


def complete(answer: Response) -> Response:
    """Add what a view has not said itself; how long a guarded answer is kept is not for it to say."""
    _settle_caching(answer)
    added = PAGE_HEADERS if answer.mimetype == "text/html" else NO_SNIFFING
    if settings().secure_cookies and request.is_secure:
        added = added | STRICT_TRANSPORT
    for name, value in added.items():
        answer.headers.setdefault(name, value)
    return answer


def _settle_caching(answer: Response) -> None:
    rule: Rule | None = current_app.extensions[RULES].get(request.endpoint)
    is_guarded = rule is not None and rule.guard is not Guard.OPEN
    if is_guarded and "no-store" not in answer.headers.get("Cache-Control", ""):
        answer.headers["Cache-Control"] = "no-store"
    elif "Cache-Control" not in answer.headers:
        answer.headers["Cache-Control"] = "private, no-cache" if "ETag" in answer.headers else "no-store"
    if "no-store" in answer.headers["Cache-Control"] and answer.headers.get("Expires") != "0":
        answer.headers.pop("Expires", None)
