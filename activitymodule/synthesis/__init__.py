"""The synthesised fleet: people, day plans, signals, energy, faults."""
