"""Settings pages of plugins: one tab for each class of the entry-point group `duplistatus.settings`."""

from typing import Any, ClassVar

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString
from flask_babel import gettext as _
from marshmallow import ValidationError

from app import runtime
from app.audit.log import read_group, save_group
from app.core.errors import Refused
from app.core.settings.declarations import SettingGroup, first_sentence, plugin_group
from app.plugin import Access, PluginSettings, Setting, guarded
from app.web.forms import GroupForm, form_field, form_values, with_settings
from app.web.http import actor, settings_bp
from app.web.plugin_texts import plugin_text


class PluginForm(GroupForm):
    """The settings of one plugin, in its words."""

    page: ClassVar[type[PluginSettings]]
    group: ClassVar[SettingGroup]

    def read_setting(self, setting: Setting[Any], sentence: str = "") -> Any:
        """Return the entered value of one setting; None, with the plugin's reason, if it is invalid."""
        return super().read_setting(setting, sentence or self._reason(setting))

    def _reason(self, setting: Setting[Any]) -> str:
        if setting.check is None:
            return ""
        try:
            setting.check((self[setting.key].data or "").strip())
        except ValidationError as error:
            return plugin_text(self.page, first_sentence(error))
        return ""


def form_class(page: type[PluginSettings]) -> type[PluginForm]:
    """Return the form of a plugin's settings."""
    group = plugin_group(page)
    made = type(f"{page.__name__}Form", (PluginForm,), {"page": page, "group": group})
    for setting in group:
        words = {choice: _text(page, str(choice)) for choice in setting.choices} if setting.choices else None
        field = form_field(
            setting, words=words, label=_text(page, setting.label), description=_text(page, setting.help)
        )
        setattr(made, setting.key, field)
    return with_settings(group)(made)


def tab_name(page: type[PluginSettings]) -> str:
    """Return the name of a plugin's tab in the URL."""
    return f"plugin-{page.name}"


def tab_label(page: type[PluginSettings]) -> LazyString:
    """Return the label of a plugin's tab, in the language of the page."""
    return _text(page, page.label)


def show(page: type[PluginSettings]) -> ResponseReturnValue:
    """Show the settings of a plugin."""
    form = form_class(page)
    return _show(form(formdata=None, data=form_values(form.group, read_group(form.group))))


@settings_bp.post("/plugin/<name>")
@guarded(Access.ADMIN)
def save_plugin_settings(name: str) -> ResponseReturnValue:
    """Save the settings of a plugin."""
    page = runtime.registry().settings_pages.get(name)
    if page is None:
        raise Refused("not_found")
    form = form_class(page)()
    entered = form.read_settings()
    if form.wrong_fields:
        return _show(form), 400
    save_group(form.group, entered, actor=actor(), now=runtime.now())
    flash(_("Saved."), "success")
    return redirect(url_for("settings.index", tab=tab_name(page)), 303)


def _show(form: PluginForm) -> str:
    values = {"label": tab_label(form.page), "about": _text(form.page, form.page.description)}
    return render_template(
        "navigation/plugin_settings.html", tab=tab_name(form.page), form=form, name=form.page.name, **values
    )


def _text(page: type[PluginSettings], text: str) -> LazyString:
    return LazyString(plugin_text, page, text)
