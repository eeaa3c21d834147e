"""Which model versions serve, by the store's record of promotions, and the one way to load one."""
