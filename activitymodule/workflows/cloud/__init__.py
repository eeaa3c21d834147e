"""Use cases in the cloud: fetching raw data, staging code, running jobs, the catalogue."""
