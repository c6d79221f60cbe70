"""Scheduled work: the tasks, when and where each runs, and their threads."""
