"""What grows has an end: what is no longer needed is deleted, or moved to the lake, by the settings `retention`."""
