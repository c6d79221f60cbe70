"""Notification channels, rules, templates, outbox, delivery worker, summaries."""
