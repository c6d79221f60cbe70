"""What the forms of the settings share: a refusal of a service is kept, and said at the field that it is about."""

from collections.abc import Mapping

from wtforms import Field

from app.contracts import AppError
from app.pages.forms_base import PageForm


class SettingsForm(PageForm):
    """A form of a tab. `problem` holds what was refused and belongs to no field."""

    problem = ""

    @property
    def wrong_fields(self) -> list[Field]:
        """The fields that were refused, in the order of the page."""
        return [field for field in self if field.errors and field.name != "csrf_token"]

    def refuse(self, name: str, sentence: str) -> None:
        """Say at a field what is wrong with it; what belongs to no field is told above the form."""
        if name in self:
            self[name].errors = (*self[name].errors, sentence)
        else:
            self.problem = f"{self.problem} {sentence}".strip()

    def take(self, refusal: AppError, places: Mapping[str, str] | None = None) -> None:
        """Put a service's refusal to its field: one of `places`, by how it begins, or the one before its colon.

        A name on the wire stands for the field of the same letters: `lastValidDay` for `last_valid_day`.
        """
        for beginning, name in (places or {}).items():
            if refusal.message.startswith(beginning):
                return self.refuse(name, refusal.message)
        word, _colon, sentence = refusal.message.partition(": ")
        name = "".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in word)
        if sentence and name in self:
            return self.refuse(name, sentence[:1].upper() + sentence[1:])
        return self.refuse("", refusal.message)
