"""Who may enter: users, sign-in, sessions, API keys, networks, and what each user prefers."""
