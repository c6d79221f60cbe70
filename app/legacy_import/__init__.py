"""Import of the database of duplistatus 0.4 to 1.5."""
