"""Floor 4: groups of commands, one module each; `app.cli` puts them together."""
