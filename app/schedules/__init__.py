"""Schedules of jobs, the overdue check, and the settings of both."""
