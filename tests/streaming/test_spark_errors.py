"""What the job logs of a failed batch."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from pyspark import SparkContext

from activitymodule.errors import ActivityError, JavaEndedError
from activitymodule.settings import Settings
from activitymodule.streaming.recovery import FAILURES_ALLOWED, Failures
from activitymodule.streaming.spark_errors import cause, explained_spark, first_line

CALLED = (
    "An exception was raised by the Python Proxy. Return Message: Traceback (most recent call last):\n"
    '  File "sink.py", line 79, in write\n'
    "py4j.protocol.Py4JJavaError: An error occurred while calling o58437.collectToPython.\n"
)
OF_TASK = (
    ": org.apache.spark.SparkException: Job aborted due to stage failure: Task 1 in stage 9.0 failed 4 times, most "
    "recent failure: Lost task 1.3 in stage 9.0 (TID 21) (127.0.0.1 executor driver): "
)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "An exception was thrown\nTraceback (most recent call last):\n  File x\n"
            "psycopg2.OperationalError: server closed the connection unexpectedly\n\n\tat org.apache.spark.X",
            "OperationalError: server closed the connection unexpectedly",
        ),
        ("pyspark.errors.exceptions.captured.PythonException:\n ValueError: no", "ValueError: no"),
        ("[STREAM_FAILED] Query ended\nmore", "[STREAM_FAILED] Query ended"),
        ("", "unknown error"),
    ],
)
def test_an_error_is_the_line_of_the_python_exception(message: str, expected: str) -> None:
    assert first_line(message) == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            f"{CALLED}{OF_TASK}java.lang.OutOfMemoryError: Java heap space\n\tat x.Y.z(Y.java:1)\n\nDriver stacktrace:",
            "OutOfMemoryError: Java heap space",
        ),
        (
            f"{CALLED}{OF_TASK}org.apache.spark.SparkException: no\n\tat x.Y.z(Y.java:1)\n"
            "Caused by: org.rocksdb.RocksDBException: While open a file: Too many open files\n\tat x.Y.z(Y.java:1)",
            "RocksDBException: While open a file: Too many open files",
        ),
        (
            f"{CALLED}{OF_TASK}org.apache.spark.api.python.PythonException: Traceback (most recent call last):\n"
            '  File "worker.py", line 3\nValueError: no\n\n\tat x.Y.z(Y.java:1)\n'
            "Caused by: org.apache.spark.api.python.PythonException: Traceback (most recent call last):\n"
            "ValueError: no\n",
            "ValueError: no",
        ),
        (
            f"{CALLED}: java.lang.IllegalStateException: SparkContext was shut down\n\tat x",
            "IllegalStateException: SparkContext was shut down",
        ),
    ],
)
def test_the_cause_is_the_innermost_error(message: str, expected: str) -> None:
    assert cause(RuntimeError(message)) == expected


def test_a_job_without_memory_says_what_to_set(capsys: pytest.CaptureFixture[str]) -> None:
    failures = Failures(Settings())
    error = RuntimeError(f"{CALLED}{OF_TASK}java.lang.OutOfMemoryError: Java heap space\n\tat x")
    for _ in range(FAILURES_ALLOWED):
        failures.add(error)
    with pytest.raises(ActivityError, match=r"spark\.driver_memory.*state_store.*watermark_minutes"):
        failures.add(error)
    assert "spark.driver_memory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "advice"), [(52, "raise spark.driver_memory"), (-9, "lower spark.driver_memory")]
)
def test_java_that_ended_for_its_memory(code: int, advice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own memory, or the machine's."""
    process = SimpleNamespace(wait=lambda seconds: code, returncode=code)
    monkeypatch.setattr(SparkContext, "_gateway", SimpleNamespace(proc=process))
    with pytest.raises(JavaEndedError, match=advice), explained_spark(Settings()):
        raise ConnectionRefusedError
