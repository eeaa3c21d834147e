"""The REST interface; each module has a `router`, which app.py includes."""
