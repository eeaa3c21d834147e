"""Loading a warehouse, Redshift or BigQuery: what is loaded, by which marks, and how each target takes it."""
