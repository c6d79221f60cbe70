"""Asks Duplicati servers instead of waiting for them: fetches runs and schedules, and starts jobs."""
