"""Versions of Duplicati: read from what reports and release lists say, and compared within their channel."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

# From the calmest to the quickest, as Duplicati names them.
CHANNELS = ("stable", "beta", "experimental", "canary")
_NUMBERS = r"\d{1,5}(?:\.\d{1,5}){1,3}"
_RELEASE = re.compile(rf"(?<![\d.])({_NUMBERS})_({'|'.join(CHANNELS)})_\d{{4}}-\d\d-\d\d", re.ASCII)
_PLAIN = re.compile(rf"\s*v?({_NUMBERS})(?![\d.])", re.ASCII)


@dataclass(frozen=True, slots=True)
class DuplicatiVersion:
    """A version and its channel, which is empty where it was not told."""

    numbers: tuple[int, ...]
    channel: str = ""

    def __str__(self) -> str:
        return ".".join(map(str, self.numbers))


@dataclass(frozen=True, slots=True)
class InstalledDuplicati:
    """The Duplicati of a server, beside the newest of its channel where that is known."""

    version: DuplicatiVersion
    newest: DuplicatiVersion | None = None

    @property
    def is_outdated(self) -> bool:
        """Whether there is a newer one in its channel."""
        return self.newest is not None and self.newest.numbers > self.version.numbers


def find_releases(text: str) -> Iterator[DuplicatiVersion]:
    """Every release that a text names as Duplicati does, such as `2.2.0.1_stable_2025-11-09`."""
    for found in _RELEASE.finditer(text):
        yield DuplicatiVersion(_read_numbers(found[1]), found[2])


def read_version(text: str | None) -> DuplicatiVersion | None:
    """The version in a report, such as `2.2.0.1 (2.2.0.1_stable_2025-11-09)`; None when there is none."""
    release = next(find_releases(text or ""), None)
    plain = _PLAIN.match(text or "")
    return release or (DuplicatiVersion(_read_numbers(plain[1])) if plain else None)


def newest_by_channel(text: str) -> dict[str, DuplicatiVersion]:
    """The newest release of each channel that a release list names."""
    newest: dict[str, DuplicatiVersion] = {}
    for release in find_releases(text):
        known = newest.get(release.channel)
        if known is None or release.numbers > known.numbers:
            newest[release.channel] = release
    return newest


def installed(text: str | None, newest: Mapping[str, DuplicatiVersion]) -> InstalledDuplicati | None:
    """What a report says of its Duplicati, beside the newest; None when it says nothing."""
    version = read_version(text)
    return InstalledDuplicati(version, newest.get(version.channel)) if version else None


def _read_numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))
