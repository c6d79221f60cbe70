"""Reading runs and schedules from Duplicati's own API, and starting jobs."""
