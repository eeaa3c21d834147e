"""Other people's tables to canonical readings, as a mapping says."""
