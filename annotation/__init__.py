"""The web console and the REST interface."""
