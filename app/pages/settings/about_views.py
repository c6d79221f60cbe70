"""View of the tab about this program."""

from flask import render_template
from flask.typing import ResponseReturnValue

from app.pages.settings import about as layout

TAB = "about"


def show() -> ResponseReturnValue:
    """Versions, plugins and licences."""
    return render_template("settings/about.html", tab=TAB, about=layout.build())
