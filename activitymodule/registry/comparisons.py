"""Comparisons of model families in MLflow: a run for the comparison, and one beneath it for each family."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from activitymodule.registry import client
from activitymodule.registry.versions import EXPERIMENT
from activitymodule.settings import Settings


def record_comparison(
    config: Settings,
    parameters: Mapping[str, object],
    families: Mapping[str, Mapping[str, float]],
    folder: Path,
) -> str:
    """Record a comparison with its files; the id of its run.

    parameters : of all families; families : name -> metrics; folder : whose files are kept with the run. Raises
    ServiceUnavailableError where the registry does not answer.
    """
    client.get(
        config, "experiments/search", max_results="1"
    )  # fail now: MLflow's client would retry for minutes
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    client.sign_in_mlflow(config)
    mlflow = MlflowClient(tracking_uri=config.registry.uri, registry_uri=config.registry.uri)
    try:
        experiment = mlflow.get_experiment_by_name(EXPERIMENT)
        experiment_id = experiment.experiment_id if experiment else mlflow.create_experiment(EXPERIMENT)
        run_id = mlflow.create_run(experiment_id, run_name="comparison").info.run_id
        for key, value in parameters.items():
            mlflow.log_param(run_id, key, value)
        for name, metrics in families.items():
            tags = {MLFLOW_PARENT_RUN_ID: run_id}
            own = mlflow.create_run(experiment_id, run_name=name, tags=tags).info.run_id
            mlflow.log_param(own, "family", name)
            for key, figure in metrics.items():
                mlflow.log_metric(own, key, float(figure))
            mlflow.set_terminated(own)
        mlflow.log_artifacts(run_id, str(folder))
        mlflow.set_terminated(run_id)
    except MlflowException as error:
        raise client.unavailable(config, str(error).splitlines()[0][:200]) from None
    return str(run_id)
