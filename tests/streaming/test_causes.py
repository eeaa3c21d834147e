"""The project's own error in a failure of Spark."""

from __future__ import annotations

import pytest

from activitymodule.errors import ReadOnlyError, RefusedError, TimedOutError
from activitymodule.streaming.causes import cause_of, error_text, raise_returned

WORKER = """[STREAM_FAILED] Query [id = 1] terminated with exception: Job aborted due to stage failure
Traceback (most recent call last):
  File "connection.py", line 1, in explained
psycopg2.errors.ReadOnlySqlTransaction: cannot execute INSERT in a read-only transaction

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "worker.py", line 9, in score
activitymodule.errors.{kind}: PostgreSQL at h:1 says (so: it does); try again

\tat org.apache.spark.api.python.BasePythonRunner
"""


@pytest.mark.parametrize("kind", [ReadOnlyError, TimedOutError])
def test_the_cause_is_found_in_the_text(kind: type[Exception]) -> None:
    cause = cause_of(RuntimeError(WORKER.replace("{kind}", kind.__name__)))
    assert type(cause) is kind
    assert str(cause) == "PostgreSQL at h:1 says (so: it does); try again"


def test_a_task_returns_an_error_as_text() -> None:
    raise_returned([None, None])
    with pytest.raises(ReadOnlyError, match="it is: read-only"):
        raise_returned(
            [None, error_text(ReadOnlyError("it is: read-only")), error_text(TimedOutError("late"))]
        )


def test_what_is_no_error_of_the_project_stays_as_it_is() -> None:
    for error in (RefusedError("no"), ValueError("no"), RuntimeError("activitymodule.errors.annotations: x")):
        assert cause_of(error) is error
