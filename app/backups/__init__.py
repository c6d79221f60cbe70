"""Servers, backup jobs and runs: models, statistics, overview, details, merging, deletion."""
