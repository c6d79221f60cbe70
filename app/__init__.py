"""duplistatus: one page that says whether all your Duplicati backups are fine."""

__version__ = "2.0.0"
