"""Workflows: what a person, a DAG or a page asks for, as typed functions."""
