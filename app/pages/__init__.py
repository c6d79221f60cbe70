"""The web UI: server-rendered pages that work without script, and keep themselves fresh with it."""

from flask import Flask, Response

from app import __version__
from app.api import errors, guards
from app.api.response_headers import PAGE_HEADERS
from app.contracts import Guard
from app.pages import (
    addresses,
    api_manual,
    assets,
    collect_views,  # noqa: F401 (puts its views on the blueprint)
    dashboard_views,  # noqa: F401 (puts its views on the blueprint)
    detail_views,  # noqa: F401 (puts its views on the blueprint)
    error_pages,
    formats,
    heatmaps,
    installable,  # noqa: F401 (puts its view on the blueprint)
    job_views,  # noqa: F401 (puts its views on the blueprint)
    languages,
    master_key,
    settings,
    sparklines,
    status_page,
    verdicts,
    ways_views,  # noqa: F401 (puts its views on the blueprint)
    words,
)
from app.pages.schedule_words import schedule_words
from app.pages.strips import pulse, read_pulse
from app.pages.views import bp
from app.services import channel_health
from app.services.network_access import Zone


def install(app: Flask) -> None:
    """Register the pages below the base path, with their files, formats, error pages and headers."""
    assets.install(app)
    formats.install(app)
    languages.install(app)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(version=__version__, pulse=pulse, read_pulse=read_pulse)
    app.jinja_env.globals.update(trend=sparklines.trend, heatmap=heatmaps.heatmap, heat_key=heatmaps.heat_key)
    app.jinja_env.globals.update(
        status_word=words.status_word,
        schedule_words=schedule_words,
        anomaly_words=words.anomaly_words,
        version_times=words.version_times,
        anomaly_figures=words.anomaly_figures,
        filling_words=verdicts.filling_words,
        channel_troubles=channel_health.channel_troubles,
        key_trouble=master_key.shown_trouble,
        key_trouble_sentence=master_key.sentence,
    )
    for blueprint in BLUEPRINTS:
        guards.cover(app, blueprint, guard=Guard.LOGIN, is_page=True)
    guards.cover(app, status_page.bp, guard=Guard.OPEN, zone=Zone.EXTERNAL, is_page=True)
    errors.show_page_errors_with(app, lambda sentence, status: protect(error_pages.show_error(sentence, status)))


def page_values() -> dict[str, object]:
    """What every page needs: how the person likes to see things, and where they are."""
    chosen = languages.reader_preferences()
    return {"preferences": chosen, "theme": chosen.theme, "here": addresses.here()}


def protect(response: Response) -> Response:
    """Say what the page may do, and that nobody may keep it."""
    response.headers.update(PAGE_HEADERS)
    return response


def protect_public(response: Response) -> Response:
    """The same for the page that everybody may read, which browsers keep for a while when it is there."""
    caching = dict(response.headers) if response.status_code in (200, 304) else {}
    response = protect(response)
    response.headers.update({name: caching[name] for name in status_page.CACHING if name in caching})
    response.headers.update(status_page.PRIVACY)
    return response


# Once for the process: a blueprint takes nothing more after an application has registered it.
status_page.bp.context_processor(page_values)
status_page.bp.after_request(protect_public)
BLUEPRINTS = (bp, settings.bp, api_manual.bp)
for _blueprint in BLUEPRINTS:
    _blueprint.context_processor(page_values)
    _blueprint.after_request(protect)
