"""What every subject is built on; independent of backups."""
