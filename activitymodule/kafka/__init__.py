"""Kafka as this project uses it: clients from the settings, topics, the truth topic, authentication."""
