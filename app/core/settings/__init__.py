"""Settings that users change at run time."""
