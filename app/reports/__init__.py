"""Parse the reports that Duplicati posts, store them as runs, keep rejected ones."""
