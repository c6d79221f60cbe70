"""Floor 3: use cases. Each function that writes owns its transaction."""
