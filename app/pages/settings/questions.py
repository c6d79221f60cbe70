"""Asking before something is done that cannot be undone: in a dialog, or on a page without script."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import LazyString


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask. `action` is where an answer is posted to, `back` where Cancel leads without script."""

    title: str
    sentences: Sequence[str]
    button: str
    action: str
    back: str
    is_dangerous: bool = True


def ask(question: Question, *, tab: str, label: str | LazyString) -> ResponseReturnValue:
    """Show a question; `label` is the tab's, for the page around it."""
    part = "question" if "HX-Request" in request.headers else "question_page"
    return render_template(f"settings/{part}.html", tab=tab, label=label, question=question)
