"""Daily records of synthesised people over months: personas, workouts, illness, wear, and the records themselves."""
