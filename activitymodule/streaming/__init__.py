"""The Spark jobs."""
