"""What is shown to others: status page, badges, metrics for Prometheus."""
