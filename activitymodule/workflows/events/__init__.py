"""Telling others: activity events to the topic and to webhooks."""
