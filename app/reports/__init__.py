"""From the bytes that Duplicati posts to a stored run, and the reports that were rejected."""
