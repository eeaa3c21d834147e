"""The REST interface: one file a topic, each with a `router`; the application loads all of them."""
