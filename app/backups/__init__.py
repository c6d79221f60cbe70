"""Servers, backup jobs and runs: tables, statistics, API, pages."""
