"""Users, sign-in, sessions, API keys, allowed networks and preferences."""
