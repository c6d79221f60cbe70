"""Scheduled work: the table of tasks, when each runs and by whom, and the threads that do it."""
