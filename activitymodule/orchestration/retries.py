"""How often and when a failed task is tried again. Only the DAGs import it: it needs Airflow."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from activitymodule.errors import LASTING


def retries(times: int = 2, *, pause: timedelta, growth: float = 2.0) -> dict[str, object]:
    """The part of a DAG's `default_args`: each pause is `growth` times the one before.

    A wrong setting, wrong data and a missing model stay so: they are not tried again.
    """
    return {
        "retries": times,
        "retry_delay": pause,
        "retry_exponential_backoff": growth,
        "retry_policy": ExceptionRetryPolicy(rules=[RetryRule([*LASTING], action=RetryAction.FAIL)]),
    }
