#!/usr/bin/env python3
"""Write app/reports/written_dates.py from the CLDR data of Babel.

    .venv/bin/python scripts/date_words.py > app/reports/written_dates.py

Run it again after an update of Babel. A word with different meanings in two languages is left out.
"""

import textwrap
from collections import defaultdict

from babel import Locale, localedata

from app.reports.written_dates import word_key

# Languages whose month names are read. Numbers are what cultures write; names come from changed settings.
MONTH_LANGUAGES = (  # noqa: SIM905
    "en de fr es pt it nl da sv nb fi et lv lt pl cs sk sl hr sr sr_Latn bs hu ro bg mk ru uk el tr id ms vi ca gl eu"
).split()
# Designators of Windows that CLDR no longer has.
MORE_DESIGNATORS = {"am": ("de", "πμ", "ق.ظ", "dop."), "pm": ("du", "μμ", "ب.ظ", "odp.")}


def designators() -> dict[str, set[str]]:
    """Return the meanings of each AM/PM designator."""
    meanings: dict[str, set[str]] = defaultdict(set)
    for name in localedata.locale_identifiers():
        for widths in Locale.parse(name).day_periods.values():
            for width in ("abbreviated", "wide"):
                for meaning in ("am", "pm"):
                    key = word_key(widths.get(width, {}).get(meaning, ""))
                    if len(key) > 1 or not key.isascii():
                        meanings[key].add(meaning)
    for meaning, words in MORE_DESIGNATORS.items():
        for word in words:
            meanings[word_key(word)].add(meaning)
    return meanings


def months() -> dict[str, set[int]]:
    """Return the numbers of the months that each name stands for."""
    meanings: dict[str, set[int]] = defaultdict(set)
    for name in MONTH_LANGUAGES:
        for widths in Locale.parse(name).months.values():
            for width in ("abbreviated", "wide"):
                for number, word in widths.get(width, {}).items():
                    key = word_key(str(word))
                    if len(key) > 1 and not any(char.isdigit() for char in str(word)):
                        meanings[key].add(number)
    meanings["sept"].add(9)
    return meanings


def quoted(words: list[str]) -> str:
    """Return a wrapped sequence of string literals that form one text of words."""
    lines = textwrap.wrap(" ".join(sorted(words)), 100, break_long_words=False, break_on_hyphens=False)
    return "\n".join(f'    "{line} "' for line in lines)


def main() -> None:
    """Print the module."""
    meanings = designators()
    names = months()
    print('"""Words in written dates: AM/PM designators and month names.')
    print()
    print(
        "Made by scripts/date_words.py from the CLDR data of Babel: do not edit. Keys are as `word_key` returns them."
    )
    print('"""')
    print()
    print("# ruff: noqa: RUF001, SIM905")
    for constant, meaning in (("AM_WORDS", "am"), ("PM_WORDS", "pm")):
        print(f"\n{constant} = frozenset(\n    (")
        print(textwrap.indent(quoted([key for key, found in meanings.items() if found == {meaning}]), "    "))
        print("    ).split()\n)")
    print("\nMONTHS = {\n    word: number\n    for number, words in enumerate(\n        (")
    for number in range(1, 13):
        print(textwrap.indent(quoted([key for key, found in names.items() if found == {number}]), "        ") + ",")
    print("        ),\n        start=1,\n    )\n    for word in words.split()\n}")


if __name__ == "__main__":
    main()
