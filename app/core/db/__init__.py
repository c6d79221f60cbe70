"""Database engine, column types, transactions, cache and migrations."""
