"""Drift measures and the figures for Prometheus."""
