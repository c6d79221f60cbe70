"""Deprecated name of `app.plugin.testing`, kept for the tests of plugins that were written for version 2.0."""

import sys
from importlib import import_module

for _old, _new in {
    "api_groups": "api_groups",
    "applications": "applications",
    "channels": "channels",
    "charts": "charts",
    "fixtures": "fixtures",
    "http_servers": "http_servers",
    "mail_servers": "mail_servers",
}.items():
    sys.modules[f"{__name__}.{_old}"] = import_module(f"app.plugin.testing.{_new}")
