"""Collect runs and schedules from Duplicati's own API, and start jobs."""
