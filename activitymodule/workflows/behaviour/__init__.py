"""Models on daily records: training, registering, assigning, and the size study."""
