"""Use cases as typed functions: what a command, a DAG, a page or the REST interface calls."""
