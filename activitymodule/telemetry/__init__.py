"""Telemetry: the message and its fields, decoding and encoding, and sources of recordings."""
