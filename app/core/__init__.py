"""What every subject is built on; nothing here knows backups."""
