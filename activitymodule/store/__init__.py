"""PostgreSQL: one module a table family. Functions run in the caller's transaction, unless they say otherwise."""
