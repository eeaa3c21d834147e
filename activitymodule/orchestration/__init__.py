"""Orchestration: the client of Airflow, and the names of DAGs and tasks."""
