"""duplistatus: one page that shows whether all your Duplicati backups are OK."""

__version__ = "2.0.0"
