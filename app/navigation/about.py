"""Settings page about this program, and the check for new Duplicati versions."""

import platform
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from importlib import metadata
from pathlib import Path

from flask import current_app, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString, lazy_gettext, lazy_ngettext
from flask_babel import gettext as _
from wtforms import URLField

from app import runtime
from app.audit.log import Actor
from app.backups import duplicati_versions
from app.backups.duplicati_versions import EVERY_HOURS, IS_ENABLED, SOURCE, VERSION_CHECK, VersionCheck
from app.core.errors import Refused
from app.database import maintenance
from app.database.maintenance import DatabaseState
from app.plugin import Access, guarded
from app.registry import API_GROUPS, CHART_PROVIDERS, KINDS, NOTIFICATION_CHANNELS, SETTINGS, Broken
from app.web.errors import refusal_text
from app.web.forms import GroupForm, form_field, form_values, with_settings
from app.web.http import actor, settings_bp

OWN_DISTRIBUTION = "duplistatus"
KIND_WORDS = {
    NOTIFICATION_CHANNELS: lazy_gettext("Notification channel"),
    CHART_PROVIDERS: lazy_gettext("Chart"),
    API_GROUPS: lazy_gettext("API group"),
    SETTINGS: lazy_gettext("Settings"),
}
# Folder of a vendored package -> its name.
VENDORED = {
    "tabler": "Tabler",
    "tabler-icons": "Tabler Icons",
    "htmx": "htmx",
    "idiomorph": "Idiomorph",
    "uplot": "uPlot",
    "inter": "Inter",
}
LONGEST_LICENCE = 60


@dataclass(frozen=True, slots=True)
class Plugin:
    """A loaded plugin and the distribution that provides it."""

    kind: LazyString
    name: str
    source: str


@dataclass(frozen=True, slots=True)
class Package:
    """An installed Python package."""

    name: str
    version: str
    licence: str


@dataclass(frozen=True, slots=True)
class About:
    """Content of the page. Built-in plugins are counted, third-party ones are listed."""

    python: str
    system: str
    time_zone: str
    data_folder: str
    database: DatabaseState
    bundled: list[tuple[LazyString, int]]
    plugins: list[Plugin]
    broken: tuple[Broken, ...]
    licences: list[tuple[str, str]]
    packages: tuple[Package, ...]


def build() -> About:
    """Collect the content of the page."""
    found, chosen = runtime.registry(), runtime.settings()
    counts = dict.fromkeys(KINDS, 0)
    plugins = []
    for (kind, name), source in sorted(found.sources.items()):
        if source == OWN_DISTRIBUTION:
            counts[kind] += 1
        else:
            plugins.append(Plugin(KIND_WORDS[kind], name, source))
    return About(
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        time_zone=chosen.timezone,
        data_folder=str(chosen.data_dir.resolve()),
        database=maintenance.describe_database(),
        bundled=[(KIND_WORDS[kind], count) for kind, count in counts.items() if count],
        plugins=plugins,
        broken=found.broken,
        licences=_licences(str(current_app.static_folder)),
        packages=_packages(),
    )


@cache
def _licences(static_folder: str) -> list[tuple[str, str]]:
    """Return the vendored packages with their license files, below the static folder."""
    folders = sorted(path.parent.name for path in Path(static_folder).glob("vendor/*/LICENSE"))
    return [(VENDORED.get(folder, folder), f"vendor/{folder}/LICENSE") for folder in folders]


@cache
def _packages() -> tuple[Package, ...]:
    """Return all Python packages of this installation, by name."""
    found = {
        point.metadata["Name"].casefold(): Package(point.metadata["Name"], point.version, _licence_of(point))
        for point in metadata.distributions()
    }
    return tuple(package for _name, package in sorted(found.items()))


def _licence_of(distribution: metadata.Distribution) -> str:
    """Return the license of a package if it is a name rather than the full text."""
    fields = distribution.metadata.json  # the mapping has no typed way to get an optional value
    license_name = str(fields.get("license_expression") or fields.get("license") or "")
    if license_name and len(license_name) <= LONGEST_LICENCE and "\n" not in license_name:
        return license_name
    classifiers = distribution.metadata.get_all("Classifier") or ()
    named = [text.rpartition(" :: ")[2] for text in classifiers if text.startswith("License ::")]
    return ", ".join(named)


# Views, and the form of the version check

TAB = "about"


@with_settings(VERSION_CHECK.parts)
class VersionCheckForm(GroupForm):
    """Whether, how often and where the newest versions of Duplicati are looked up."""

    every_hours = form_field(
        EVERY_HOURS,
        words={
            hours: lazy_ngettext("every %(num)s hour", "every %(num)s hours", hours) for hours in EVERY_HOURS.choices
        },
    )
    url = form_field(SOURCE, kind=URLField, render_kw={"autocomplete": "off"})

    def attempt(self, actor: Actor, now: datetime) -> bool:
        """Store the settings; False if the form has errors."""
        url = self.read_setting(SOURCE, _("Enter a URL that starts with http:// or https://."))
        if url is None:
            return False
        changes: dict[str, object] = {"is_enabled": self.read_setting(IS_ENABLED), "url": url}
        if EVERY_HOURS.accepts(self.every_hours.data):
            changes["every_hours"] = self.every_hours.data
        duplicati_versions.configure(changes, actor=actor, now=now)
        return True


def show() -> ResponseReturnValue:
    """Show versions, plugins and licenses."""
    return _show(_form(is_sent=False))


@settings_bp.post("/about/version-check")
@guarded(Access.ADMIN)
def save_version_check() -> ResponseReturnValue:
    """Set whether newest versions are looked up, and look them up now if enabled."""
    form = _form(is_sent=True)
    if not form.attempt(actor(), runtime.now()):
        return _show(form), 400
    try:
        error = _check_error(duplicati_versions.check_now(runtime.now())) if form.is_enabled.data else ""
    except Refused as refusal:
        error = refusal_text(refusal)
    flash(
        _("Saved, but the check failed: %(reason)s", reason=error) if error else _("Saved."),
        "error" if error else "success",
    )
    return redirect(url_for("settings.index", tab=TAB, _anchor="versions"), 303)


def _form(*, is_sent: bool) -> VersionCheckForm:
    source, check = {} if is_sent else {"formdata": None}, duplicati_versions.read()
    return VersionCheckForm(**source, **form_values(VERSION_CHECK.parts, asdict(check)))


def _check_error(check: VersionCheck) -> str:
    """Return why the last check failed; the stored English sentence if an earlier version stored it."""
    return "; ".join(map(refusal_text, check.problems)) or check.error


def _show(form: VersionCheckForm) -> str:
    values = {"check": duplicati_versions.read(), "check_error": _check_error, "now": runtime.now()}
    return render_template("navigation/about.html", tab=TAB, about=build(), form=form, **values)
