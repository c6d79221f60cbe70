"""What is wrong with a request header, in the reader's language."""

from collections.abc import Callable

from flask_babel import gettext as _

from app.domain.request_headers import LARGEST_BYTES, MOST_HEADERS, BadHeader


def header_words(wrong: BadHeader) -> str:
    """Say which header cannot be sent, and why."""
    words: dict[str, Callable[[], str]] = {
        "line": lambda: _("Line %(number)s is not a header. Write its name, a colon and its value.", number=wrong.name),
        "name": lambda: _("%(name)s is not the name of a header.", name=wrong.name),
        "reserved": lambda: _("%(name)s cannot be set: the sign-in to Duplicati needs it.", name=wrong.name),
        "twice": lambda: _("%(name)s is entered twice.", name=wrong.name),
        "value": lambda: _("%(name)s needs a value of letters, digits and signs of ASCII.", name=wrong.name),
        "count": lambda: _("No more than %(count)s headers can be stored.", count=MOST_HEADERS),
        "size": lambda: _("The headers are larger than %(size)s KiB together.", size=LARGEST_BYTES // 1024),
    }
    return words[wrong.kind]()
