"""What the tab about this program shows: versions, plugins, and whose work it stands on."""

import platform
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from flask import current_app
from flask_babel import LazyString, lazy_gettext

from app.registry import API_GROUPS, CHART_PROVIDERS, KINDS, NOTIFICATION_CHANNELS, Broken
from app.services import database_state, deployment
from app.services.database_state import DatabaseState

OWN_DISTRIBUTION = "duplistatus"
KIND_WORDS = {
    NOTIFICATION_CHANNELS: lazy_gettext("Notification channel"),
    CHART_PROVIDERS: lazy_gettext("Chart"),
    API_GROUPS: lazy_gettext("API group"),
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
    """A plugin that was loaded, and the distribution that brought it."""

    kind: LazyString
    name: str
    source: str


@dataclass(frozen=True, slots=True)
class Package:
    """A Python package that is installed beside the program."""

    name: str
    version: str
    licence: str


@dataclass(frozen=True, slots=True)
class About:
    """All there is to tell. What was bundled is counted, what came from elsewhere is listed."""

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
    """Look around."""
    found, chosen = deployment.registry(), deployment.settings()
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
        database=database_state.describe(),
        bundled=[(KIND_WORDS[kind], count) for kind, count in counts.items()],
        plugins=plugins,
        broken=found.broken,
        licences=_licences(str(current_app.static_folder)),
        packages=_packages(),
    )


@cache
def _licences(static_folder: str) -> list[tuple[str, str]]:
    """The vendored packages with the files of their licences, below the static folder."""
    folders = sorted(path.parent.name for path in Path(static_folder).glob("vendor/*/LICENSE"))
    return [(VENDORED.get(folder, folder), f"vendor/{folder}/LICENSE") for folder in folders]


@cache
def _packages() -> tuple[Package, ...]:
    """Every Python package of this installation, by its name."""
    found = {
        point.metadata["Name"].casefold(): Package(point.metadata["Name"], point.version, _licence_of(point))
        for point in metadata.distributions()
    }
    return tuple(package for _name, package in sorted(found.items()))


def _licence_of(distribution: metadata.Distribution) -> str:
    """What a package says of its licence, where that is a name rather than the whole text."""
    said = distribution.metadata.json  # the mapping has no typed way to ask for what may be absent
    told = str(said.get("license_expression") or said.get("license") or "")
    if told and len(told) <= LONGEST_LICENCE and "\n" not in told:
        return told
    classifiers = distribution.metadata.get_all("Classifier") or ()
    named = [text.rpartition(" :: ")[2] for text in classifiers if text.startswith("License ::")]
    return ", ".join(named)
