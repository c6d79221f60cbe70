"""Deprecated name of `app.plugin`, kept for plugins that were written for version 2.0."""

import sys
from importlib import import_module

from app.plugin import *  # noqa: F403 (the same names)

for _old, _new in {
    "addresses": "http",
    "api": "api",
    "channel": "channel",
    "chart": "chart",
    "deadlines": "http",
    "description": "api",
    "errors": "errors",
}.items():
    sys.modules[f"{__name__}.{_old}"] = import_module(f"app.plugin.{_new}")
