"""Settings that people change while the program runs."""
