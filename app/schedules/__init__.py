"""When a job should run, whether it is overdue, and what people chose for it."""
