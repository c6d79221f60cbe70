"""Anomalies of runs, and the forecast of when a destination is full."""
