"""Command palette, tabs of the settings, and the page about this program."""
