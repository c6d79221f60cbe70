"""Engine, column types, transactions, the cache that follows the database, and migrations."""
