"""Contract tests of the settings of a plugin.

Subclass `SettingsContract`, name the class of settings, and run.
"""

from abc import ABC
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from flask import Flask

from app.plugin import PluginSettings, Setting
from app.plugin.testing.applications import Visitor, running_application
from app.registry import discover


class SettingsContract(ABC):
    """The contract of every class of settings, tested in a whole application. Set `settings_class`."""

    settings_class: ClassVar[type[PluginSettings]]

    @pytest.fixture
    def application(self, tmp_path: Path) -> Iterator[Flask]:
        """An application with these settings, and a database of its own."""
        pages = {self.settings_class.name: self.settings_class}
        with running_application(tmp_path / "application", replace(discover(), settings_pages=pages)) as app:
            yield app

    @pytest.fixture
    def visitor(self, application: Flask) -> Visitor:
        """A signed-in administrator."""
        visitor = application.test_client()
        assert isinstance(visitor, Visitor)
        return visitor.sign_in()

    def test_it_can_be_shown(self) -> None:
        """The application leaves out settings that it cannot show, and lists the reason."""
        assert self.settings_class.objection() is None
        assert self.settings_class.label.strip()

    def test_it_is_shown_with_its_defaults(self, visitor: Visitor) -> None:
        """The form has a field for each setting."""
        page = visitor.get(f"/settings/?tab=plugin-{self.settings_class.name}")
        assert page.status_code == 200
        for setting in self.settings_class.settings:
            assert f'name="plugin_{setting.name}"' in page.text

    def test_what_the_form_shows_can_be_saved(self, application: Flask, visitor: Visitor) -> None:
        """Nobody should have to correct a form before it can be saved the first time."""
        assert self._save(visitor, {}) == 303
        with application.app_context():
            for setting in self.settings_class.settings:
                assert self.settings_class.read(setting) == setting.default

    def test_bounds_and_choices_are_saved_and_read(self, application: Flask, visitor: Visitor) -> None:
        """A value that a person saves is what the plugin reads."""
        for setting in self.settings_class.settings:
            for value in _extremes(setting):
                assert self._save(visitor, {setting.name: value}) == 303
                with application.app_context():
                    assert self.settings_class.read(setting) == value

    def test_a_value_out_of_bounds_is_refused(self, application: Flask, visitor: Visitor) -> None:
        """The page is shown again, and the stored value stays."""
        for setting in self.settings_class.settings:
            if setting.kind is int and setting.maximum is not None:
                assert self._save(visitor, {setting.name: int(setting.maximum) + 1}) == 400
                with application.app_context():
                    assert self.settings_class.read(setting) == setting.default

    def _save(self, visitor: Visitor, changes: dict[str, Any]) -> int:
        """Save the form with some values, the others as by default; return the status."""
        values = {setting.name: setting.default for setting in self.settings_class.settings} | changes
        sent = {f"plugin_{name}": "y" if value is True else str(value) for name, value in values.items()}
        sent = {name: text for name, text in sent.items() if values[name.removeprefix("plugin_")] is not False}
        url = f"/settings/plugin/{self.settings_class.name}"
        return visitor.post(url, data=sent, headers=visitor.csrf_headers()).status_code


def _extremes(setting: Setting[Any]) -> tuple[Any, ...]:
    if setting.kind is bool:
        return (True, False)
    return setting.choices or (
        (int(setting.minimum or 0), int(setting.maximum or 0)) if setting.kind is int else (setting.default,)
    )
