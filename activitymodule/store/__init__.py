"""PostgreSQL: predictions, dead letters, batches, people, versions; the caller's transaction, unless said."""
