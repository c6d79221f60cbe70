"""Status page, badges, and metrics for Prometheus."""
