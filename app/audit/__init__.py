"""The audit log, and the log files of the application."""
