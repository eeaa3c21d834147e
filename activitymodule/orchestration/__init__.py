"""Airflow from outside: the names of its DAGs, and a client of its REST interface."""
