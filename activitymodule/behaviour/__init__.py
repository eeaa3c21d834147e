"""Models on daily records: personas, workouts of a day, and whether a person goes on wearing the watch."""
