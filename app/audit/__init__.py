"""The audit log, and the log of the application itself."""
