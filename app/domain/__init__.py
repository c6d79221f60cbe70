"""Floor 1: rules as pure functions. Nothing here knows a database, a request or a clock."""
