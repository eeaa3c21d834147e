"""What the job logs of a failed batch."""

from __future__ import annotations

import pytest

from activitymodule.streaming.spark_errors import first_line


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
