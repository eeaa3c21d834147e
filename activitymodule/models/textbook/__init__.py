"""Textbook classifiers as model families, to compare the recipe that ships with (models/comparison)."""
