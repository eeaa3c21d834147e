"""MLflow's model registry: versions, aliases, artifacts and their lineage."""
