"""How people get around: command palette, tabs of the settings, the page about this program."""
