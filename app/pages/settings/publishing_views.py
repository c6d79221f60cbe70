"""Views of the tab of publishing, which is for administrators: metrics, badges, and the page for everybody."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from app.api.client import actor
from app.contracts import Guard, guarded
from app.contracts.errors import NotFound
from app.pages.settings import publishing as layout
from app.pages.settings import status_page
from app.pages.settings.blueprint import bp
from app.pages.settings.publishing import BadgeForm
from app.pages.settings.questions import Question, ask
from app.services import badges, clock, metrics
from app.services.declarations import MOST_BADGES

TAB = "publishing"


def show() -> ResponseReturnValue:
    """What can be read from outside."""
    return _show(BadgeForm(formdata=None))


@bp.post("/publishing/metrics")
@guarded(Guard.ADMIN)
def save_metrics() -> ResponseReturnValue:
    """Choose whether metrics are given out, and whether only for a key."""
    sent = request.form
    metrics.configure(is_enabled="is_enabled" in sent, needs_key="needs_key" in sent, actor=actor(), now=clock.now())
    flash(_("Metrics are given out.") if "is_enabled" in sent else _("Metrics are off."), "success")
    return redirect(url_for("settings.index", tab=TAB), 303)


@bp.post("/publishing/badges")
@guarded(Guard.ADMIN)
def create_badge() -> ResponseReturnValue:
    """Make a badge."""
    form = BadgeForm()
    if not form.attempt(actor(), clock.now()):
        return _show(form), 400
    flash(_("The badge is made. Copy it into your page."), "success")
    return redirect(url_for("settings.index", tab=TAB, _anchor="badges"), 303)


@bp.get("/publishing/badges/<slug>/delete")
@guarded(Guard.ADMIN)
def confirm_badge_deletion(slug: str) -> ResponseReturnValue:
    """Ask whether a badge shall be taken away."""
    badge = next((badge for badge in badges.list_badges() if badge.slug == slug), None)
    if badge is None:
        raise NotFound("Badge not found")
    question = Question(
        title=_("Delete the badge %(name)s?", name=badge.label),
        sentences=[_("Pages that show it get a grey picture from then on.")],
        button=_("Delete the badge"),
        action=url_for("settings.delete_badge", slug=slug),
        back=url_for("settings.index", tab=TAB),
    )
    return ask(question, tab=TAB, label=_("Publishing"))


@bp.post("/publishing/badges/<slug>/delete")
@guarded(Guard.ADMIN)
def delete_badge(slug: str) -> ResponseReturnValue:
    """Take a badge away."""
    badges.delete_badge(slug, actor=actor(), now=clock.now())
    flash(_("The badge was deleted."), "success")
    return redirect(url_for("settings.index", tab=TAB, _anchor="badges"), 303)


def _show(form: BadgeForm) -> str:
    form.offer(clock.now())
    values = {"badges": layout.shown_badges(clock.now()), "most_badges": MOST_BADGES}
    states = {"is_enabled": metrics.are_enabled(), "needs_key": metrics.need_key()}
    address = f"{layout.own_address()}/metrics"
    return render_template(
        "settings/publishing.html",
        tab=TAB,
        form=form,
        metrics=states,
        metrics_address=address,
        **values,
        **status_page.section_values(),
    )
