"""Start the embedded Airflow, up to the point where a triggered run would run."""

from __future__ import annotations

import time
from collections.abc import Callable

from activitymodule.embedded import airflow
from activitymodule.embedded.stack import Stack
from activitymodule.errors import NotFoundError, ServiceUnavailableError
from activitymodule.orchestration import client
from activitymodule.orchestration.names import RETRAIN
from activitymodule.settings import Settings


def start(config: Settings, say: Callable[[str], None], seconds: float = 300) -> None:
    """Start Airflow beside the rest of the stack and wait until it has read its DAGs.

    Raises ConfigError where it is not set up, ServiceUnavailableError where it does not come up within `seconds`.
    """
    stack = Stack(config)
    with stack.undone_if_it_fails(say):
        stack.up(airflow.NAMES, say, seconds=seconds)
        deadline = time.monotonic() + seconds
        while not client.healthy(config) or not _dags_read(config):
            if time.monotonic() > deadline:
                raise ServiceUnavailableError(
                    f"Airflow at {config.airflow.uri} has not read its DAGs after {seconds:.0f} s; "
                    "see `activity airflow logs dags`"
                )
            time.sleep(0.5)
    for error in client.import_errors(config):
        say(f"a DAG cannot be read: {error}")


def _dags_read(config: Settings) -> bool:
    """Whether the retraining's DAG is known, or the reason why it cannot be read."""
    try:
        client.runs(config, RETRAIN, limit=1)
        return True
    except NotFoundError:
        return bool(client.import_errors(config))
