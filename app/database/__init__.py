"""Backup, restore, inspection, retention, maintenance and health of the database."""
