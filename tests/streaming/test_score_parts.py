"""Pure parts of the scoring job."""

from __future__ import annotations

import pytest

from activitymodule.errors import ConfigError
from activitymodule.settings import build
from activitymodule.streaming.availability import Availability
from activitymodule.streaming.checkpoint import loss_sentence
from activitymodule.streaming.offsets import offset_ranges
from activitymodule.streaming.recovery import first_line


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


def test_offsets_of_a_batch_go_from_where_the_one_before_ended() -> None:
    assert offset_ranges({0: 5, 1: 7}, {0: 9, 1: 7, 2: 3}) == {0: (5, 9), 1: (7, 7), 2: (0, 3)}


def test_the_loss_names_every_message() -> None:
    sentence = loss_sentence("t", {1: (10, 15), 0: (3, 4)})
    assert "6 messages of t" in sentence
    assert "partition 0: 3 to 3, partition 1: 10 to 14" in sentence


def test_an_outage_and_its_end_are_logged_once_each(capsys: pytest.CaptureFixture[str]) -> None:
    there = [True, False, False, False, True, True]
    service = Availability("Kafka", lambda: there.pop(0))
    assert [service.check() for _ in range(6)] == [True, False, False, False, True, True]
    logged = capsys.readouterr().err.splitlines()
    assert len(logged) == 2
    assert "does not answer" in logged[0]
    assert "is back" in logged[1]


def test_slides_divide_windows() -> None:
    with pytest.raises(ConfigError, match="must divide"):
        build({"windows": {"length_seconds": 10, "slide_seconds": 3}})
