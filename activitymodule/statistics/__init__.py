"""Reference statistics of real people, and how close synthetic telemetry comes."""
