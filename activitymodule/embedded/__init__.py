"""The embedded stack: PostgreSQL, Kafka and the model registry as processes of this machine."""
